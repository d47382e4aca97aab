// SPDX-License-Identifier: Apache-2.0

//! Softmax regression on a CSV of numbers, to be trained with differential privacy. Start here, and make it yours. The first column
//! is the class, from 0 on. train.json has "inputs" (the other columns), "classes" and "scale" (what they are divided by).

use glovebox_train::{floats, floats_mut, parse_floats, Config, Model};

struct Softmax {
    inputs: usize,
    scale: f32,
    p: Vec<f64>, // how likely each class is
}

fn open(c: &Config) -> Option<(Box<dyn Model>, Vec<f32>)> {
    let (inputs, classes, scale) = (c.int("inputs", 4, 1, 100_000), c.int("classes", 3, 2, 1000), c.float("scale", 1.0) as f32);
    if scale.is_nan() || scale <= 0.0 {
        return None;
    }
    let params = vec![0.0; (inputs + 1) * classes]; // a row of weights for each class, then its biases
    Some((Box::new(Softmax { inputs, scale, p: vec![0.0; classes] }), params))
}

impl Softmax {
    /// The class and inputs of a prepared record, after the probabilities are computed.
    fn forward<'a>(&mut self, params: &[f32], record: &'a [u8]) -> Option<(usize, &'a [f32])> {
        let (class, x) = floats(record).split_first()?;
        if x.len() != self.inputs {
            return None;
        }
        let (weights, biases) = params.split_at(self.inputs * self.p.len());
        for (k, p) in self.p.iter_mut().enumerate() {
            let row = &weights[k * self.inputs..][..self.inputs];
            *p = row.iter().zip(x).fold(f64::from(biases[k]), |s, (w, x)| s + f64::from(*w) * f64::from(*x));
        }
        let most = self.p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.p.iter_mut().for_each(|p| *p = (*p - most).exp());
        let sum: f64 = self.p.iter().sum();
        self.p.iter_mut().for_each(|p| *p /= sum);
        Some((*class as usize, x))
    }
}

impl Model for Softmax {
    /// A line becomes its class and inputs as numbers, once, before training.
    fn prepare(&mut self, line: &[u8], room: &mut [u8]) -> Option<usize> {
        let x = floats_mut(room).get_mut(..self.inputs + 1)?;
        if !parse_floats(line, x) || !(0.0..self.p.len() as f32).contains(&x[0]) {
            return None;
        }
        x[1..].iter_mut().for_each(|v| *v /= self.scale);
        Some(4 * x.len())
    }

    fn gradient(&mut self, params: &[f32], record: &[u8], gradient: &mut [f32]) -> bool {
        let Some((class, x)) = self.forward(params, record) else { return false };
        let (weights, biases) = gradient.split_at_mut(self.inputs * self.p.len());
        for (k, p) in self.p.iter().enumerate() {
            let d = (p - f64::from(u8::from(k == class))) as f32;
            weights[k * self.inputs..][..self.inputs].iter_mut().zip(x).for_each(|(g, x)| *g = d * x);
            biases[k] = d;
        }
        true
    }

    fn predict(&mut self, params: &[f32], record: &[u8]) -> f32 {
        let Some((class, _)) = self.forward(params, record) else { return 0.0 };
        let mut best = 0;
        for (k, p) in self.p.iter().enumerate() {
            if *p > self.p[best] {
                best = k;
            }
        }
        f32::from(u8::from(best == class))
    }
}

glovebox_train::export!(open);

#[cfg(test)]
mod tests {
    /// Trains outside the sandbox, without privacy: five passes over the sample, in steps of 0.5.
    #[test]
    fn sample() {
        let c = glovebox_train::Config::new(include_bytes!("../train.json"));
        let lines: Vec<&str> = include_str!("../sample.csv").lines().collect();
        let got = glovebox_train::run(super::open, &c, 5, 0.5, &lines).unwrap();
        assert!(got.records == lines.len() && got.score >= 0.85, "{got:?}");
    }
}
