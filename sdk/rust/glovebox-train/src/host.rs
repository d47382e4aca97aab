// SPDX-License-Identifier: Apache-2.0

#[cfg(target_arch = "wasm32")]
pub use sandbox::*;

#[cfg(not(target_arch = "wasm32"))]
pub use native::*;

#[cfg(target_arch = "wasm32")]
mod sandbox {
    use crate::{Aligned, Config, Model, Open};

    /// What the exports of [`export!`](crate::export) work on.
    pub struct Guest {
        config: Aligned,
        model: Option<Box<dyn Model>>,
        params: Vec<f32>,
        gradient: Vec<f32>,
        record: Aligned,
        prepared: Aligned,
    }

    impl Guest {
        /// What there is before `train_open`.
        pub fn new() -> Guest {
            Guest { config: Aligned::new(0), model: None, params: vec![], gradient: vec![], record: Aligned::new(0), prepared: Aligned::new(0) }
        }

        pub fn open(&mut self, len: u32) -> *mut u8 {
            self.config = Aligned::new(len as usize);
            self.config.bytes_mut().as_mut_ptr()
        }

        pub fn init(&mut self, open: Open, len: u32, record_bytes: u32) -> i32 {
            let c = Config::new(&self.config.bytes()[..len as usize]);
            let Some((model, params)) = open(&c) else { return 1 };
            if c.refused() || params.is_empty() {
                return 1;
            }
            self.gradient = vec![0.0; params.len()];
            (self.model, self.params) = (Some(model), params);
            self.record = Aligned::new(record_bytes as usize);
            self.prepared = Aligned::new(record_bytes as usize);
            0
        }

        pub fn params(&mut self) -> i64 {
            span(self.params.as_mut_ptr().cast(), self.params.len())
        }

        pub fn gradient_buffer(&mut self) -> *mut f32 {
            self.gradient.as_mut_ptr()
        }

        pub fn record_buffer(&mut self) -> *mut u8 {
            self.record.bytes_mut().as_mut_ptr()
        }

        pub fn gradient(&mut self, len: u32) -> i32 {
            let record = &self.record.bytes()[..len as usize];
            i32::from(!self.model.as_mut().unwrap().gradient(&self.params, record, &mut self.gradient))
        }

        pub fn prepare(&mut self, len: u32) -> i64 {
            let record = &self.record.bytes()[..len as usize];
            let n = self.model.as_mut().unwrap().prepare(record, self.prepared.bytes_mut());
            span(self.prepared.bytes_mut().as_mut_ptr(), n.expect("a record that cannot be prepared")) // it fails, no other
        }

        pub fn predict(&mut self, len: u32) -> f32 {
            let record = &self.record.bytes()[..len as usize];
            self.model.as_mut().unwrap().predict(&self.params, record)
        }
    }

    fn span(p: *mut u8, n: usize) -> i64 {
        (p as u64 as i64) << 32 | n as i64
    }

    /// Makes the module's exports, for a function of type [`Open`].
    #[macro_export]
    macro_rules! export {
        ($open:expr) => {
            mod glovebox_train_exports {
                use super::*;
                use std::cell::RefCell;

                thread_local!(static GUEST: RefCell<$crate::Guest> = RefCell::new($crate::Guest::new()));

                fn with<T>(f: impl FnOnce(&mut $crate::Guest) -> T) -> T {
                    GUEST.with(|g| f(&mut g.borrow_mut()))
                }

                #[no_mangle]
                pub extern "C" fn train_open(len: u32) -> *mut u8 {
                    with(|g| g.open(len))
                }
                #[no_mangle]
                pub extern "C" fn train_init(len: u32, record_bytes: u32) -> i32 {
                    with(|g| g.init($open, len, record_bytes))
                }
                #[no_mangle]
                pub extern "C" fn train_params() -> i64 {
                    with(|g| g.params())
                }
                #[no_mangle]
                pub extern "C" fn train_gradient_buffer() -> *mut f32 {
                    with(|g| g.gradient_buffer())
                }
                #[no_mangle]
                pub extern "C" fn train_record_buffer() -> *mut u8 {
                    with(|g| g.record_buffer())
                }
                #[no_mangle]
                pub extern "C" fn train_gradient(len: u32) -> i32 {
                    with(|g| g.gradient(len))
                }
                #[no_mangle]
                pub extern "C" fn train_prepare(len: u32) -> i64 {
                    with(|g| g.prepare(len))
                }
                #[no_mangle]
                pub extern "C" fn train_predict(len: u32) -> f32 {
                    with(|g| g.predict(len))
                }
            }
        };
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use crate::{Aligned, Config, Model, Open};

    /// Does nothing outside of the sandbox.
    #[macro_export]
    macro_rules! export {
        ($open:expr) => {
            const _: $crate::Open = $open;
        };
    }

    const MOST: usize = 1 << 20;

    /// What a stand-in's training comes to.
    #[derive(Debug)]
    pub struct Outcome {
        /// Records that could be prepared.
        pub records: usize,
        /// Mean of `predict` over them.
        pub score: f64,
    }

    /// The sandbox's stand-in for tests, without privacy or noise: passes over the records in order, in lots of 32, gradients
    /// clipped to norm 1, plain steps of the rate. `None` if the configuration is refused.
    pub fn run<T: AsRef<[u8]>>(open: Open, c: &Config, passes: usize, rate: f64, records: &[T]) -> Option<Outcome> {
        let (mut m, mut params) = open(c)?;
        if c.refused() || params.is_empty() {
            return None;
        }
        let mut room = Aligned::new(MOST);
        let mut ready = Vec::new();
        for r in records {
            if let Some(n) = m.prepare(r.as_ref(), room.bytes_mut()) {
                let mut b = Aligned::new(n);
                b.bytes_mut().copy_from_slice(&room.bytes()[..n]);
                ready.push(b);
            }
        }
        for _ in 0..passes {
            for lot in ready.chunks(32) {
                step(m.as_mut(), &mut params, lot, rate);
            }
        }
        let score: f64 = ready.iter().map(|r| f64::from(m.predict(&params, r.bytes()).max(0.0))).sum();
        Some(Outcome { records: ready.len(), score: score / ready.len().max(1) as f64 })
    }

    fn step(m: &mut dyn Model, params: &mut [f32], lot: &[Aligned], rate: f64) {
        let mut sum = vec![0.0; params.len()];
        for r in lot {
            let mut gradient = vec![0.0; params.len()];
            if !m.gradient(params, r.bytes(), &mut gradient) {
                continue;
            }
            let norm = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
            for (s, g) in sum.iter_mut().zip(&gradient) {
                *s += f64::from(*g) / norm.max(1.0);
            }
        }
        for (p, s) in params.iter_mut().zip(&sum) {
            *p -= (rate * s / lot.len() as f64) as f32;
        }
    }
}
