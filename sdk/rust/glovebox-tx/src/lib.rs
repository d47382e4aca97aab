// SPDX-License-Identifier: Apache-2.0

//! What a transform written in Rust needs: its configuration, the records one at a time, and a place for what becomes of them.
//! docs/spec/transform-abi.md of Glovebox defines the rest. No dependencies.
//!
//! Built for wasm32-unknown-unknown as a cdylib, with [`export!`], it talks to the sandbox. Built for anything else, [`run`] is a
//! stand-in, so that code is tested with cargo test.
//!
//! ```
//! use glovebox_tx::{Config, Record, Transform};
//!
//! struct Without(String);
//!
//! impl Transform for Without {
//!     fn record(&mut self, r: &mut Record) {
//!         let text = r.take();
//!         if !text.windows(self.0.len()).any(|w| w == self.0.as_bytes()) {
//!             r.put(&text); // a record for which nothing is put is left out
//!         }
//!     }
//! }
//!
//! fn open(c: &Config) -> Option<Box<dyn Transform>> {
//!     Some(Box::new(Without(c.text("word", "secret"))))
//! }
//!
//! glovebox_tx::export!(open);
//! # fn main() {}
//! ```

mod config;
mod host;

pub use config::Config;
#[cfg(not(target_arch = "wasm32"))]
pub use host::{run, Finding};

/// A transform that has its configuration.
pub trait Transform: Send {
    /// Called for each record. It calls [`Record::put`] with what becomes of it: once, or never to leave it out, or any number
    /// of times where the step's shape is any. A panic ends the run: no record passes after it.
    fn record(&mut self, r: &mut Record);

    /// Called after the last record. It may put records where the shape is any.
    fn end(&mut self, _r: &mut Record) {}
}

/// What makes a transform of a configuration; `None` refuses it.
pub type Open = fn(&Config) -> Option<Box<dyn Transform>>;

/// The record at hand.
#[derive(Default)]
pub struct Record {
    text: Vec<u8>,
    out: Vec<u8>,
    index: u32,
    puts: u32,
    shape: Shape,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Shape {
    #[default]
    Map,
    Filter,
    Any,
}

const LEFT_OUT: u32 = u32::MAX;

impl Record {
    /// The record: a line of JSON, a record of CSV without its line end, or a file.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The same, to keep or to change.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    /// Says what becomes of the record.
    pub fn put(&mut self, text: &[u8]) {
        self.puts += 1;
        self.out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.out.extend_from_slice(text);
    }

    /// Tells a finding: its type, in A to Z, 0 to 9 and _, its bytes from start to end, and a score to 1000.
    pub fn found(&mut self, kind: &str, start: usize, end: usize, score: u32) {
        host::finding(self.index, kind, start as u32, end as u32, score);
    }

    /// Draws noise for the record, from the discrete Laplace distribution. It spends so many millionths of the epsilon that the
    /// step has for each record.
    pub fn laplace(&mut self, sensitivity: i64, epsilon: i64) -> i64 {
        host::laplace(self.index, sensitivity, epsilon)
    }

    fn one(&mut self, t: &mut dyn Transform) {
        self.puts = 0;
        t.record(self);
        match self.shape {
            Shape::Any => {}
            Shape::Filter if self.puts == 0 => self.out.extend_from_slice(&LEFT_OUT.to_le_bytes()),
            _ => assert!(self.puts == 1, "a record became more or fewer than the step's shape allows"),
        }
    }

    fn batch(&mut self, t: &mut dyn Transform, mut frames: &[u8]) {
        self.out.clear();
        self.index = 0;
        while !frames.is_empty() {
            let n = u32::from_le_bytes(frames[..4].try_into().unwrap()) as usize;
            self.text.clear();
            self.text.extend_from_slice(&frames[4..4 + n]);
            self.one(t);
            frames = &frames[4 + n..];
            self.index += 1;
        }
    }

    fn flush(&mut self, t: &mut dyn Transform) {
        self.out.clear();
        self.text.clear();
        self.puts = 0;
        t.end(self);
        assert!(self.puts == 0 || self.shape == Shape::Any, "records after the last, and the step's shape is not any");
    }
}

/// Kinds of tokens.
pub const TOKEN_HASH: u32 = 0; // 32 hex digits of a keyed hash
pub const TOKEN_DIGITS: u32 = 1; // as many decimal digits as the text has

/// Makes a token of a text, the same for the same text; `None` if there is none. Only where the creator's keys are lent.
pub fn token(kind: u32, text: &[u8]) -> Option<Vec<u8>> {
    host::token(kind, text)
}

/// What the sandbox calls; for [`export!`].
#[doc(hidden)]
pub mod guest {
    use super::{Config, Open, Record, Shape, Transform};
    use std::sync::Mutex;

    struct Guest {
        input: Vec<u8>,
        record: Record,
        transform: Option<Box<dyn Transform>>,
    }

    static GUEST: Mutex<Option<Guest>> = Mutex::new(None);

    fn with<T>(f: impl FnOnce(&mut Guest) -> T) -> T {
        let mut g = GUEST.lock().unwrap();
        f(g.get_or_insert_with(|| Guest { input: Vec::new(), record: Record::default(), transform: None }))
    }

    pub fn alloc(size: i32) -> *mut u8 {
        with(|g| {
            g.input.resize(size as u32 as usize + 1, 0); // a byte more, so that there is one to point at
            g.input.as_mut_ptr()
        })
    }

    pub fn init(open: Open, size: i32) -> i32 {
        with(|g| {
            let c = Config::parse(&g.input[..size as u32 as usize]);
            g.record.shape = shape(&c);
            g.transform = open(&c);
            i32::from(g.transform.is_none())
        })
    }

    pub(crate) fn shape(c: &Config) -> Shape {
        match c.shape.as_str() {
            "filter" => Shape::Filter,
            "any" => Shape::Any,
            _ => Shape::Map,
        }
    }

    pub fn transform(size: i32) -> i64 {
        with(|g| {
            let t = g.transform.as_mut().expect("tx_init comes first");
            g.record.batch(t.as_mut(), &g.input[..size as u32 as usize]);
            answer(&g.record.out)
        })
    }

    pub fn flush() -> i64 {
        with(|g| {
            let t = g.transform.as_mut().expect("tx_init comes first");
            g.record.flush(t.as_mut());
            answer(&g.record.out)
        })
    }

    fn answer(out: &[u8]) -> i64 {
        ((out.as_ptr() as u64) << 32 | out.len() as u64) as i64
    }
}

/// Exports what the sandbox calls, for a transform that a function of type [`Open`] makes.
#[macro_export]
macro_rules! export {
    ($open:path) => {
        #[no_mangle]
        pub extern "C" fn tx_abi() -> i32 {
            1
        }
        #[no_mangle]
        pub extern "C" fn tx_alloc(size: i32) -> *mut u8 {
            $crate::guest::alloc(size)
        }
        #[no_mangle]
        pub extern "C" fn tx_init(_at: i32, size: i32) -> i32 {
            $crate::guest::init($open, size)
        }
        #[no_mangle]
        pub extern "C" fn tx_transform(_at: i32, size: i32) -> i64 {
            $crate::guest::transform(size)
        }
        #[no_mangle]
        pub extern "C" fn tx_flush() -> i64 {
            $crate::guest::flush()
        }
    };
}
