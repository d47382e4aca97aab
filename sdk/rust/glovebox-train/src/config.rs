// SPDX-License-Identifier: Apache-2.0

use std::cell::{Cell, RefCell};

/// What the code package's train.json says: one flat object of numbers. One that is out of range refuses it, and so does a member that
/// was not asked for while the model was made: training on what stands in for a misspelt one would spend what cannot be had back.
pub struct Config {
    json: Vec<u8>,
    asked: RefCell<Vec<String>>,
    bad: Cell<bool>,
}

impl Config {
    pub fn new(json: &[u8]) -> Config {
        Config { json: json.to_vec(), asked: RefCell::default(), bad: Cell::new(false) }
    }

    pub(crate) fn refused(&self) -> bool {
        self.bad.get() || !self.all_asked().unwrap_or(false)
    }

    /// Whether the members of a flat object of numbers were all asked for, and are there once; `None` if it is none.
    fn all_asked(&self) -> Option<bool> {
        let asked = self.asked.borrow();
        let mut seen: Vec<&[u8]> = vec![];
        let mut p = after(&self.json, b'{')?;
        let mut end = after(p, b'}');
        while end.is_none() {
            p = after(p, b'"')?;
            let n = p.iter().position(|&c| c == b'"')?; // no name that is asked for has an escape
            let (key, rest) = p.split_at(n);
            p = after(&rest[1..], b':')?.trim_ascii_start();
            let value = until_end(p);
            let v: f64 = std::str::from_utf8(value).ok()?.parse().ok()?;
            if !v.is_finite() || seen.contains(&key) || !asked.iter().any(|name| name.as_bytes() == key) {
                return Some(false);
            }
            seen.push(key);
            p = &p[value.len()..];
            end = after(p, b'}');
            if end.is_none() {
                p = after(p, b',')?;
            }
        }
        Some(end?.trim_ascii().is_empty())
    }

    /// A number, or what it is if not said.
    pub fn float(&self, name: &str, otherwise: f64) -> f64 {
        self.asked.borrow_mut().push(name.to_string());
        let Some(text) = self.value(name) else { return otherwise };
        std::str::from_utf8(text).ok().and_then(|s| s.parse().ok()).filter(|v: &f64| v.is_finite()).unwrap_or_else(|| {
            self.bad.set(true);
            otherwise
        })
    }

    /// A whole number from least to most.
    pub fn int(&self, name: &str, otherwise: usize, least: usize, most: usize) -> usize {
        let v = self.float(name, otherwise as f64);
        if v >= least as f64 && v <= most as f64 && v.trunc() == v {
            return v as usize;
        }
        self.bad.set(true);
        otherwise
    }

    /// The text of a member that is a number.
    fn value(&self, name: &str) -> Option<&[u8]> {
        let mut p = &self.json[..];
        while let Some((&c, rest)) = p.split_first() {
            p = rest;
            if c != b'"' {
                continue;
            }
            let mut end = 0;
            while *p.get(end)? != b'"' {
                end += if p[end] == b'\\' { 2 } else { 1 };
            }
            let key = &p[..end];
            p = p[end + 1..].trim_ascii_start();
            if p.first() != Some(&b':') {
                continue; // a text that is a value
            }
            p = p[1..].trim_ascii_start();
            if key == name.as_bytes() {
                return Some(until_end(p));
            }
        }
        None
    }
}

/// What comes after a sign, and what is blank before it.
fn after(p: &[u8], sign: u8) -> Option<&[u8]> {
    p.trim_ascii_start().strip_prefix(&[sign])
}

/// A value up to where it ends.
fn until_end(p: &[u8]) -> &[u8] {
    &p[..p.iter().position(|&c| c == b',' || c == b'}' || c <= b' ').unwrap_or(p.len())]
}

/// A plain decimal number, without an exponent.
pub(crate) fn number(s: &[u8]) -> Option<f64> {
    let (minus, s) = match s.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, s),
    };
    let (mut v, mut unit, mut digits, mut point) = (0.0, 1.0, 0, false);
    for &c in s {
        match c {
            b'.' if !point => point = true,
            b'0'..=b'9' => {
                v = 10.0 * v + f64::from(c - b'0');
                digits += 1;
                if point {
                    unit *= 10.0;
                }
            }
            _ => return None,
        }
    }
    (digits > 0).then(|| if minus { -v / unit } else { v / unit })
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn misspelt_configuration_is_refused() {
        for (text, taken) in [
            ("{}", true),
            (" { \"inputs\" : 3e0 } \n", true),
            (r#"{"inputs":3,"scale":-1.5}"#, true),
            (r#"{"inptus":3}"#, false),
            (r#"{"inputs":3,"more":1}"#, false),
            (r#"{"inputs ":3}"#, false),
            (r#"{"inp\u0075ts":3}"#, false),
            (r#"{"inputs":3,"inputs":4}"#, false),
            (r#"{"inputs":0}"#, false),
            (r#"{"inputs":3,"scale":"1"}"#, false),
            (r#"{"inputs":3,"scale":inf}"#, false),
            (r#"{"note":"inputs"}"#, false),
            (r#"{"a":{"inputs":3}}"#, false),
            ("", false),
            ("null", false),
            ("{", false),
            ("{,}", false),
            (r#"{"inputs":3"#, false),
            (r#"{"inputs":3,}"#, false),
            (r#"{"inputs":3}}"#, false),
            (r#"{"inputs" 3}"#, false),
            (r#"{"inputs"#, false),
            (r#"{"inputs":3 4}"#, false),
        ] {
            let c = Config::new(text.as_bytes());
            c.int("inputs", 4, 1, 9);
            c.float("scale", 1.0);
            assert_eq!(!c.refused(), taken, "{text}");
        }
    }
}
