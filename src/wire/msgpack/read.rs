//! The reader: one token after the other from bytes nobody vouches for.

use rmp::Marker;

use crate::wire::WireError;
use crate::wire::error::MsgpackProblem;

/// One msgpack token. A container is only its announced length: its elements are the tokens that follow.
///
/// `S` is what text is given as.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Token<'a, S = &'a str> {
    /// None.
    Nil,
    /// A truth value.
    Bool(bool),
    /// An integer of any width that is not negative.
    Uint(u64),
    /// A negative integer of any width.
    Int(i64),
    /// A single precision float.
    F32(f32),
    /// A double precision float; PyGaSe reads but never writes it.
    F64(f64),
    /// Text.
    Str(S),
    /// Bytes.
    Bin(&'a [u8]),
    /// An array of that many elements.
    Array(u32),
    /// A map of that many keys, each with its value.
    Map(u32),
    /// An extension: its type and its data.
    Ext(i8, &'a [u8]),
}

/// Reads msgpack token by token.
///
/// Lengths are compared with what is left before anything is done with them, so that a container can
/// never announce more elements than there are bytes.
///
/// ```
/// use pygase::wire::msgpack::{Reader, Token};
/// let mut reader = Reader::new(&[0x92, 0x07, 0xa1, b'x']);
/// assert_eq!(reader.next().unwrap(), Token::Array(2));
/// assert_eq!(reader.next().unwrap(), Token::Uint(7));
/// assert_eq!(reader.next().unwrap(), Token::Str("x"));
/// assert!(reader.next().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// The bytes that have not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The bytes from an earlier position up to here.
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// The next token. After an error the reader stands where it stood before.
    #[allow(
        clippy::should_implement_trait,
        reason = "reading past the end is an error, not the end of an iterator"
    )]
    pub fn next(&mut self) -> Result<Token<'a>, WireError> {
        let start = self.at;
        let token = self.token();
        token.map_err(|problem| {
            self.at = start;
            WireError::Msgpack { at: start, problem }
        })
    }

    /// Skips one whole value, whatever is nested in it, and gives its bytes.
    pub fn skip(&mut self) -> Result<&'a [u8], WireError> {
        let start = self.at;
        // Each container is bounded by the bytes left, so the sum stays below length squared.
        let mut pending: u64 = 1;
        while pending > 0 {
            pending -= 1;
            match self.next() {
                Ok(Token::Array(length)) => pending += u64::from(length),
                Ok(Token::Map(length)) => pending += 2 * u64::from(length),
                Ok(_) => {}
                Err(error) => {
                    self.at = start;
                    return Err(error);
                }
            }
        }
        Ok(self.since(start))
    }

    /// [`next`](Self::next) for those who stop at an error and do not ask what it was.
    #[allow(clippy::inline_always, reason = "a token that goes through memory costs more than reading it")]
    #[inline(always)]
    pub(crate) fn token(&mut self) -> Result<Token<'a>, MsgpackProblem> {
        self.token_with(|bytes| std::str::from_utf8(bytes).map_err(|_| MsgpackProblem::Utf8))
    }

    /// [`token`](Self::token) for those who make sure themselves that text is UTF-8.
    #[cfg(feature = "python")]
    #[allow(clippy::inline_always, reason = "a token that goes through memory costs more than reading it")]
    #[inline(always)]
    pub(crate) fn raw_token(&mut self) -> Result<Token<'a, &'a [u8]>, MsgpackProblem> {
        self.token_with(Ok)
    }

    /// Whether these bytes come next; if so, they are read.
    #[cfg(feature = "python")]
    #[inline]
    pub(crate) fn take_exactly(&mut self, bytes: &[u8]) -> bool {
        let found = self.rest().starts_with(bytes);
        self.at += if found { bytes.len() } else { 0 };
        found
    }

    #[allow(clippy::inline_always, reason = "a token that goes through memory costs more than reading it")]
    #[inline(always)]
    fn token_with<S>(
        &mut self,
        text: impl Fn(&'a [u8]) -> Result<S, MsgpackProblem>,
    ) -> Result<Token<'a, S>, MsgpackProblem> {
        let text = |bytes| text(bytes).map(Token::Str);
        let [code] = self.array()?;
        Ok(match Marker::from_u8(code) {
            Marker::FixPos(value) => Token::Uint(value.into()),
            Marker::FixNeg(value) => Token::Int(value.into()),
            Marker::Null => Token::Nil,
            Marker::True => Token::Bool(true),
            Marker::False => Token::Bool(false),
            Marker::U8 => Token::Uint(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Token::Uint(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Token::Uint(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => Token::Uint(u64::from_be_bytes(self.array()?)),
            Marker::I8 => signed(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => signed(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => signed(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => signed(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Token::F32(f32::from_be_bytes(self.array()?)),
            Marker::F64 => Token::F64(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(length) => self.take(length.into()).and_then(text)?,
            Marker::Str8 => self.length8().and_then(|length| self.take(length)).and_then(text)?,
            Marker::Str16 => self.length16().and_then(|length| self.take(length)).and_then(text)?,
            Marker::Str32 => self.length32().and_then(|length| self.take(length)).and_then(text)?,
            Marker::Bin8 => self.length8().and_then(|length| self.take(length)).map(Token::Bin)?,
            Marker::Bin16 => self.length16().and_then(|length| self.take(length)).map(Token::Bin)?,
            Marker::Bin32 => self.length32().and_then(|length| self.take(length)).map(Token::Bin)?,
            Marker::FixArray(length) => self.container(length.into(), 1).map(Token::Array)?,
            Marker::Array16 => {
                self.length16().and_then(|length| self.container(length, 1)).map(Token::Array)?
            }
            Marker::Array32 => {
                self.length32().and_then(|length| self.container(length, 1)).map(Token::Array)?
            }
            Marker::FixMap(length) => self.container(length.into(), 2).map(Token::Map)?,
            Marker::Map16 => self.length16().and_then(|length| self.container(length, 2)).map(Token::Map)?,
            Marker::Map32 => self.length32().and_then(|length| self.container(length, 2)).map(Token::Map)?,
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => self.length8().and_then(|length| self.extension(length))?,
            Marker::Ext16 => self.length16().and_then(|length| self.extension(length))?,
            Marker::Ext32 => self.length32().and_then(|length| self.extension(length))?,
            Marker::Reserved => return Err(MsgpackProblem::Reserved),
        })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], MsgpackProblem> {
        let (taken, _) = self.rest().split_at_checked(length).ok_or(MsgpackProblem::Truncated)?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MsgpackProblem> {
        let (taken, _) = self.rest().split_first_chunk().ok_or(MsgpackProblem::Truncated)?;
        self.at += N;
        Ok(*taken)
    }

    fn length8(&mut self) -> Result<usize, MsgpackProblem> {
        self.array().map(u8::from_be_bytes).map(usize::from)
    }

    fn length16(&mut self) -> Result<usize, MsgpackProblem> {
        self.array().map(u16::from_be_bytes).map(usize::from)
    }

    fn length32(&mut self) -> Result<usize, MsgpackProblem> {
        let length = self.array().map(u32::from_be_bytes)?;
        usize::try_from(length).map_err(|_| MsgpackProblem::LyingLength)
    }

    fn extension<S>(&mut self, length: usize) -> Result<Token<'a, S>, MsgpackProblem> {
        let kind = self.array().map(i8::from_be_bytes)?;
        Ok(Token::Ext(kind, self.take(length)?))
    }

    /// The length of a container whose elements have at least `least` bytes each.
    fn container(&self, length: usize, least: usize) -> Result<u32, MsgpackProblem> {
        if length > self.rest().len() / least {
            return Err(MsgpackProblem::LyingLength);
        }
        u32::try_from(length).map_err(|_| MsgpackProblem::LyingLength)
    }
}

/// Integers are told apart by sign, not by the form they came in.
fn signed<'a, S>(value: i64) -> Token<'a, S> {
    u64::try_from(value).map_or(Token::Int(value), Token::Uint)
}

/// The integer that `bytes` begin with, if they begin with one that is not negative.
pub fn first_uint(bytes: &[u8]) -> Option<u64> {
    match Reader::new(bytes).next() {
        Ok(Token::Uint(value)) => Some(value),
        _ => None,
    }
}
