//! Python literals, as the golden vectors hold values, packed as PyGaSe packs them.

use std::iter::Peekable;
use std::str::Chars;

use pygase::wire::msgpack;

/// Packs a Python literal: None, booleans, numbers, text, bytes, lists, tuples and dictionaries of them.
pub(crate) fn pack(text: &str) -> Vec<u8> {
    let mut literal = Literal { chars: text.chars().peekable() };
    let mut out = Vec::new();
    literal.value(&mut out);
    literal.blank();
    assert_eq!(literal.chars.next(), None, "{text}");
    out
}

struct Literal<'a> {
    chars: Peekable<Chars<'a>>,
}

impl Literal<'_> {
    fn value(&mut self, out: &mut Vec<u8>) {
        self.blank();
        match self.chars.peek().copied().expect("a value") {
            '{' => self.dict(out),
            '[' => self.list(']', out),
            '(' => self.list(')', out),
            '\'' | '"' => {
                let text: String = self.quoted().into_iter().map(|c| char::from_u32(c).unwrap()).collect();
                msgpack::write_str(out, &text);
            }
            'b' => {
                self.chars.next();
                let bytes: Vec<u8> = self.quoted().into_iter().map(|c| u8::try_from(c).unwrap()).collect();
                msgpack::write_bin(out, &bytes);
            }
            _ => self.word(out),
        }
    }

    fn dict(&mut self, out: &mut Vec<u8>) {
        let (mut inside, mut length) = (Vec::new(), 0);
        self.chars.next();
        while !self.ends('}') {
            self.value(&mut inside);
            self.blank();
            assert_eq!(self.chars.next(), Some(':'));
            self.value(&mut inside);
            length += 1;
        }
        msgpack::write_map_len(out, length);
        out.extend(inside);
    }

    fn list(&mut self, end: char, out: &mut Vec<u8>) {
        let (mut inside, mut length) = (Vec::new(), 0);
        self.chars.next();
        while !self.ends(end) {
            self.value(&mut inside);
            length += 1;
        }
        msgpack::write_array_len(out, length);
        out.extend(inside);
    }

    fn word(&mut self, out: &mut Vec<u8>) {
        let mut word = String::new();
        while let Some(c) = self.chars.next_if(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)) {
            word.push(c);
        }
        match word.as_str() {
            "None" => msgpack::write_nil(out),
            "True" => msgpack::write_bool(out, true),
            "False" => msgpack::write_bool(out, false),
            _ => match (word.parse::<u64>(), word.parse::<i64>()) {
                (Ok(value), _) => msgpack::write_uint(out, value),
                (_, Ok(value)) => msgpack::write_int(out, value),
                _ => msgpack::write_f32(out, word.parse::<f64>().expect(&word) as f32),
            },
        }
    }

    /// The characters between quotes as code points: of text or of bytes.
    fn quoted(&mut self) -> Vec<u32> {
        let quote = self.chars.next().expect("a quote");
        let mut found = Vec::new();
        loop {
            match self.chars.next().expect("a closing quote") {
                c if c == quote => return found,
                '\\' => found.push(match self.chars.next().expect("an escape") {
                    'n' => 10,
                    'r' => 13,
                    't' => 9,
                    'x' => self.code(2),
                    'u' => self.code(4),
                    'U' => self.code(8),
                    c => c.into(),
                }),
                c => found.push(c.into()),
            }
        }
    }

    fn code(&mut self, digits: usize) -> u32 {
        let text: String = self.chars.by_ref().take(digits).collect();
        u32::from_str_radix(&text, 16).expect("hex digits")
    }

    /// Whether the container ends here; steps over the comma before what follows.
    fn ends(&mut self, end: char) -> bool {
        self.blank();
        self.chars.next_if_eq(&',');
        self.blank();
        self.chars.next_if_eq(&end).is_some()
    }

    fn blank(&mut self) {
        while self.chars.next_if_eq(&' ').is_some() {}
    }
}
