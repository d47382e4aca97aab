// SPDX-License-Identifier: Apache-2.0

//! This transform leaves out records that have a word in them, and masks the digits of the others. Start here, and make it
//! yours. Its configuration is `{"word": "..."}`; its shape is filter.

use glovebox_tx::{Config, Record, Transform};

struct Masker {
    word: Vec<u8>,
}

fn open(c: &Config) -> Option<Box<dyn Transform>> {
    let word = c.text("word", "confidential").into_bytes();
    if word.is_empty() {
        return None;
    }
    Some(Box::new(Masker { word }))
}

glovebox_tx::export!(open);

impl Transform for Masker {
    fn record(&mut self, r: &mut Record) {
        let mut text = r.take();
        if contains(&text, &self.word) {
            r.found("WORD", 0, text.len(), 1000);
            return; // nothing is put: it is left out
        }
        let mut i = 0;
        while i < text.len() {
            if !text[i].is_ascii_digit() {
                i += 1;
                continue;
            }
            let start = i;
            while i < text.len() && text[i].is_ascii_digit() {
                text[i] = b'9'; // still a number, where it was one
                i += 1;
            }
            r.found("DIGITS", start, i, 1000);
        }
        r.put(&text);
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|w| w[0] == word[0] && w == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_leaves_out() {
        let c = Config { json: b"{}".to_vec(), format: "jsonl".into(), shape: "filter".into(), ..Config::default() };
        let sample: Vec<&str> = include_str!("../sample.jsonl").lines().collect();
        let (out, found) = glovebox_tx::run(open, &c, &sample).unwrap();
        let want: Vec<Vec<u8>> = include_str!("../expected.jsonl").lines().map(|l| l.as_bytes().to_vec()).collect();
        assert_eq!(out, want);
        assert!(!found.is_empty());
    }
}
