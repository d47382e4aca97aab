// SPDX-License-Identifier: Apache-2.0

//! What a model written in Rust needs to be trained with differential privacy: its configuration, its parameters, and one record at
//! a time. docs/spec/train-abi.md of Glovebox defines the rest. No dependencies.
//!
//! Built for wasm32-unknown-unknown as a cdylib, with [`export!`], it talks to the enclave, which samples, clips, sums, adds noise
//! and steps. Built for anything else, [`run`] is a stand-in without privacy, so that code is tested with cargo test.
//!
//! ```
//! use glovebox_train::{Config, Model};
//!
//! struct Mean;
//!
//! impl Model for Mean {
//!     fn gradient(&mut self, params: &[f32], record: &[u8], gradient: &mut [f32]) -> bool {
//!         gradient[0] = params[0] - record.len() as f32;
//!         true
//!     }
//! }
//!
//! fn open(_: &Config) -> Option<(Box<dyn Model>, Vec<f32>)> {
//!     Some((Box::new(Mean), vec![0.0]))
//! }
//!
//! glovebox_train::export!(open);
//! # fn main() {}
//! ```
//!
//! Whatever a call with a record leaves in memory is gone before the next: only parameters change. So allocate in `open`.

mod config;
mod host;

pub use config::Config;
#[cfg(target_arch = "wasm32")]
pub use host::*;
#[cfg(not(target_arch = "wasm32"))]
pub use host::{run, Outcome};

/// A model whose parameters an enclave trains.
pub trait Model {
    /// Fills the gradient of the loss of this record, which is zeros at first. False: this record has no gradient.
    fn gradient(&mut self, params: &[f32], record: &[u8], gradient: &mut [f32]) -> bool;

    /// Works on a record once before training: the bytes of `room` whose number it gives are the record from then on. They depend
    /// on this record alone. `None`: there is nothing to learn from this record. A model without it gets records as they are.
    fn prepare(&mut self, record: &[u8], room: &mut [u8]) -> Option<usize> {
        room.get_mut(..record.len())?.copy_from_slice(record);
        Some(record.len())
    }

    /// For the score, from 0 to 1, for example 1 if the guess is right. A model without it says -1: that it has none. It is asked once
    /// with a record of no bytes too.
    fn predict(&mut self, _params: &[f32], _record: &[u8]) -> f32 {
        -1.0
    }
}

/// What makes a model and its initial parameters of a configuration; `None` refuses it.
pub type Open = fn(&Config) -> Option<(Box<dyn Model>, Vec<f32>)>;

/// Bytes that begin at a multiple of 16.
pub struct Aligned(Vec<u128>, usize);

impl Aligned {
    /// So many zeros.
    pub fn new(len: usize) -> Aligned {
        Aligned(vec![0; len / 16 + 1], len)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.1) }
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.1) }
    }
}

/// Lends prepared memory as numbers; nothing if it does not begin at a multiple of four bytes.
pub fn floats(b: &[u8]) -> &[f32] {
    match unsafe { b.align_to::<f32>() } {
        ([], f, _) => f,
        _ => &[],
    }
}

/// Lends the room of `prepare` as numbers.
pub fn floats_mut(b: &mut [u8]) -> &mut [f32] {
    match unsafe { b.align_to_mut::<f32>() } {
        ([], f, _) => f,
        _ => &mut [],
    }
}

/// Reads a line of plain decimal numbers with commas between them, like -12.5; false if it is not `out.len()` of them.
pub fn parse_floats(line: &[u8], out: &mut [f32]) -> bool {
    let mut fields = line.split(|&c| c == b',');
    for x in out.iter_mut() {
        match fields.next().and_then(config::number) {
            Some(v) => *x = v as f32,
            None => return false,
        }
    }
    fields.next().is_none()
}

/// Random numbers for initial values, the same in each language (splitmix64).
#[derive(Default)]
pub struct Chance(pub u64);

impl Chance {
    /// From 0 to below 1.
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
