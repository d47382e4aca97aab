// SPDX-License-Identifier: Apache-2.0

#[cfg(target_arch = "wasm32")]
pub use sandbox::*;

#[cfg(not(target_arch = "wasm32"))]
pub use native::*;

#[cfg(target_arch = "wasm32")]
mod sandbox {
    #[link(wasm_import_module = "glovebox_tx")]
    extern "C" {
        fn emit_finding(record: u32, kind: *const u8, size: u32, start: u32, end: u32, score: u32);
        #[link_name = "token"]
        fn host_token(kind: u32, text: *const u8, size: u32, out: *mut u8, room: u32) -> i32;
        fn noise_laplace(record: u32, sensitivity: i64, epsilon: i64) -> i64;
    }

    pub fn finding(record: u32, kind: &str, start: u32, end: u32, score: u32) {
        unsafe { emit_finding(record, kind.as_ptr(), kind.len() as u32, start, end, score) }
    }

    pub fn token(kind: u32, text: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; text.len().max(32)];
        let n = unsafe { host_token(kind, text.as_ptr(), text.len() as u32, out.as_mut_ptr(), out.len() as u32) };
        usize::try_from(n).ok().map(|n| {
            out.truncate(n);
            out
        })
    }

    pub fn laplace(record: u32, sensitivity: i64, epsilon: i64) -> i64 {
        unsafe { noise_laplace(record, sensitivity, epsilon) }
    }
}

/// Outside of the sandbox findings are kept, tokens are made up and noise is zero.
#[cfg(not(target_arch = "wasm32"))]
mod native {
    use crate::{guest, Config, Open, Record};
    use std::cell::RefCell;

    /// One that a transform told.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Finding {
        pub record: u32,
        pub kind: String,
        pub start: u32,
        pub end: u32,
        pub score: u32,
    }

    thread_local!(static FOUND: RefCell<Vec<Finding>> = const { RefCell::new(Vec::new()) });

    pub fn finding(record: u32, kind: &str, start: u32, end: u32, score: u32) {
        let f = Finding { record, kind: kind.to_string(), start, end, score };
        FOUND.with(|all| all.borrow_mut().push(f));
    }

    pub fn token(kind: u32, text: &[u8]) -> Option<Vec<u8>> {
        let mut h = text.iter().fold(14695981039346656037 ^ u64::from(kind), |h, b| (h ^ u64::from(*b)).wrapping_mul(1099511628211));
        let (n, base) = if kind == 0 { (32, 16) } else { (text.len(), 10) };
        let mut digit = || {
            h = h.wrapping_mul(6364136223846793005).wrapping_add(1);
            b"0123456789abcdef"[((h >> 33) % base) as usize]
        };
        Some((0..n).map(|_| digit()).collect())
    }

    pub fn laplace(_record: u32, _sensitivity: i64, _epsilon: i64) -> i64 {
        0
    }

    /// The sandbox's stand-in for tests: takes records through a transform and gives what becomes of them, and what was found;
    /// `None` if the configuration is refused.
    pub fn run<T: AsRef<[u8]>>(open: Open, c: &Config, records: &[T]) -> Option<(Vec<Vec<u8>>, Vec<Finding>)> {
        let mut t = open(c)?;
        let mut r = Record { shape: guest::shape(c), ..Record::default() };
        let mut frames = Vec::new();
        for text in records {
            frames.extend_from_slice(&(text.as_ref().len() as u32).to_le_bytes());
            frames.extend_from_slice(text.as_ref());
        }
        FOUND.with(|all| all.borrow_mut().clear());
        r.batch(t.as_mut(), &frames);
        let mut out = answer(&r.out);
        r.flush(t.as_mut());
        out.extend(answer(&r.out));
        Some((out, FOUND.with(|all| all.take())))
    }

    fn answer(mut b: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while b.len() >= 4 {
            let n = u32::from_le_bytes(b[..4].try_into().unwrap());
            b = &b[4..];
            if n != crate::LEFT_OUT {
                out.push(b[..n as usize].to_vec());
                b = &b[n as usize..];
            }
        }
        out
    }
}
