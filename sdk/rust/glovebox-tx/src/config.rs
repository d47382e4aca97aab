// SPDX-License-Identifier: Apache-2.0

/// What a transform is told of its step and the dataset. Whatever is JSON is canonical JSON.
#[derive(Default)]
pub struct Config {
    /// The step's configuration, an object.
    pub json: Vec<u8>,
    /// csv, jsonl or files.
    pub format: String,
    /// Of CSV, in order.
    pub columns: Vec<String>,
    /// map, filter or any.
    pub shape: String,
}

impl Config {
    /// Reads what the sandbox gives.
    pub fn parse(b: &[u8]) -> Config {
        let mut c = Config {
            json: member(b, "config").unwrap_or(b"{}").to_vec(),
            format: unquote(member(b, "format").unwrap_or(b"\"\"")),
            columns: Vec::new(),
            shape: unquote(member(b, "shape").unwrap_or(b"\"\"")),
        };
        let mut list = member(b, "columns").unwrap_or(b"[]");
        while list.len() > 2 {
            let n = value(&list[1..]);
            c.columns.push(unquote(&list[1..1 + n]));
            list = &list[1 + n..];
        }
        c
    }

    /// A text of the step's configuration; fallback if it is not there.
    pub fn text(&self, name: &str, fallback: &str) -> String {
        match member(&self.json, name) {
            Some(v) if v.first() == Some(&b'"') => unquote(v),
            _ => fallback.to_string(),
        }
    }
}

/// The length of the value at the beginning of canonical JSON.
fn value(p: &[u8]) -> usize {
    let (mut depth, mut quoted, mut i) = (0, false, 0);
    while i < p.len() {
        match p[i] {
            b'\\' if quoted => i += 1,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b',' | b':' | b'}' | b']' if depth == 0 => return i,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        i += 1;
    }
    p.len()
}

/// The value of an object's member, as it is written.
fn member<'a>(p: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut i = 1;
    while i + 1 < p.len() {
        let key = value(&p[i..]);
        let at = i + key + 1;
        if at >= p.len() {
            return None;
        }
        let n = value(&p[at..]);
        if key == name.len() + 2 && &p[i + 1..i + 1 + name.len()] == name.as_bytes() {
            return Some(&p[at..at + n]);
        }
        i = at + n + 1;
    }
    None
}

/// What a text of canonical JSON says. It writes only control characters with \u.
fn unquote(p: &[u8]) -> String {
    let mut out = Vec::new();
    let mut rest = if p.len() < 2 { &[][..] } else { &p[1..p.len() - 1] };
    while let Some((&c, after)) = rest.split_first() {
        rest = after;
        if c != b'\\' || rest.is_empty() {
            out.push(c);
            continue;
        }
        let escaped = rest[0];
        rest = &rest[1..];
        out.push(match escaped {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' if rest.len() >= 4 => {
                let hex = std::str::from_utf8(&rest[2..4]).unwrap_or("");
                rest = &rest[4..];
                u8::from_str_radix(hex, 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_sandbox_gives() {
        let c = Config::parse(r#"{"columns":["a","b,\"c\"\n"],"config":{"list":[{"word":"no"}],"word":"y\\es\u0001\"ü"},"format":"csv","shape":"any"}"#.as_bytes());
        assert_eq!((c.format.as_str(), c.shape.as_str()), ("csv", "any"));
        assert_eq!(c.columns, ["a", "b,\"c\"\n"]);
        assert_eq!(c.text("word", ""), "y\\es\u{1}\"ü");
        assert_eq!(c.text("other", "fallback"), "fallback");
    }
}
