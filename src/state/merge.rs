//! Putting updates and whole states, as msgpack, into a [`Tree`].
//!
//! Owns the rules of merging and the size a leaf may have. Bytes are checked as a whole before any of them
//! takes effect, and walking recurses no deeper than that check lets them be nested.

use std::fmt::Write as _;

use super::tree::{NodeId, ROOT, Tree, Value};
use crate::wire::limits::{TIME_ORDER_KEY, TO_DELETE, TO_DELETE_MSGPACK};
use crate::wire::msgpack::{self, Limits, Reader, Token};
use crate::wire::{HEADER_SIZE, WireError};

/// What merging did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Merged {
    /// How many leaves were written or removed.
    pub changed: usize,
    /// What was left out because no package can carry it.
    pub too_large: Vec<TooLarge>,
}

/// A leaf that no package can carry, even alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TooLarge {
    /// Where it is in the state, as `players[3].name`.
    pub path: String,
    /// Size of the package that would carry it and nothing else, in bytes.
    pub size: usize,
    /// The largest package there may be.
    pub limit: usize,
}

/// The key and value of the time order in a live update: always a uint16, always last.
pub(super) const TIME_ORDER_SIZE: usize = 1 + TIME_ORDER_KEY.len() + 3;
/// So many bytes more where the update says that it is a part.
pub(super) const PART_EXTRA: usize = 2;
/// A package with one leaf, apart from the leaf and its path: header, length, map of the update, time order.
const PACKAGE_AROUND_LEAF: usize = HEADER_SIZE + 2 + 1 + TIME_ORDER_SIZE + PART_EXTRA;

impl Tree {
    /// Merges an update deeply, as every PyGaSe does: maps into maps, anything else replaces, `TO_DELETE`
    /// removes. A removal of what is not there does nothing. The time order of the update is left out.
    pub fn merge(&mut self, update: &[u8]) -> Result<Merged, WireError> {
        self.walk(update, None)
    }

    /// Makes the tree equal to a whole state. What stays the same is not written again.
    pub fn replace(&mut self, state: &[u8]) -> Result<Merged, WireError> {
        let stamp = self.new_stamp();
        self.walk(state, Some(stamp))
    }

    fn walk(&mut self, bytes: &[u8], stamp: Option<u64>) -> Result<Merged, WireError> {
        msgpack::check(bytes, Limits::LOCAL)?;
        self.walk_checked(bytes, stamp)
    }

    /// Merges an update that was checked already.
    pub(super) fn merge_checked(&mut self, update: &[u8]) -> Result<Merged, WireError> {
        self.walk_checked(update, None)
    }

    fn walk_checked(&mut self, bytes: &[u8], stamp: Option<u64>) -> Result<Merged, WireError> {
        let mut reader = Reader::new(bytes);
        let Token::Map(count) = reader.next()? else {
            return Err(WireError::NotAnUpdate("it is not a map"));
        };
        let mut walk = Walk { tree: self, reader, stamp, path: Vec::new(), merged: Merged::default() };
        walk.map(ROOT, count, PACKAGE_AROUND_LEAF)?;
        Ok(walk.merged)
    }
}

fn is_time_order(key: &[u8]) -> bool {
    matches!(Reader::new(key).next(), Ok(Token::Str(TIME_ORDER_KEY)))
}

struct Walk<'t, 'u> {
    tree: &'t mut Tree,
    reader: Reader<'u>,
    /// Set where the tree is to become equal, not merged into.
    stamp: Option<u64>,
    path: Vec<&'u [u8]>,
    merged: Merged,
}

impl<'u> Walk<'_, 'u> {
    /// `size`: of a package with one leaf in this map, apart from the leaf and its key.
    fn map(&mut self, id: NodeId, count: u32, size: usize) -> Result<(), WireError> {
        for _ in 0..count {
            let key = self.reader.skip()?;
            if id == ROOT && is_time_order(key) {
                self.reader.skip()?;
                continue;
            }
            self.path.push(key);
            self.value(id, key, size + key.len())?;
            self.path.pop();
        }
        if let Some(stamp) = self.stamp {
            self.merged.changed += self.tree.kill_unstamped(id, stamp);
        }
        Ok(())
    }

    fn value(&mut self, parent: NodeId, key: &'u [u8], size: usize) -> Result<(), WireError> {
        let canonical = msgpack::canonical_key(key);
        let child = self.tree.child(parent, &canonical);
        if let (Some(child), Some(stamp)) = (child, self.stamp) {
            self.tree.stamp(child, stamp);
        }
        let start = self.reader.position();
        let token = self.reader.next()?;
        match token {
            Token::Bin(bytes) if bytes == TO_DELETE => {
                self.tree.count_visit();
                if child.is_some_and(|child| self.tree.kill(child)) {
                    self.merged.changed += 1;
                }
                return Ok(());
            }
            Token::Map(count) => {
                if !self.fits(size, 0) {
                    return self.skip(u64::from(count) * 2);
                }
                let id = child.unwrap_or_else(|| self.add(parent, &canonical, key));
                if self.tree.set_map(id) {
                    self.merged.changed += 1;
                }
                return self.map(id, count, size + 1);
            }
            Token::Array(count) => self.skip(u64::from(count))?,
            _ => {}
        }
        self.tree.count_visit();
        let bytes = self.reader.since(start);
        if !self.fits(size, bytes.len()) {
            return Ok(());
        }
        let id = child.unwrap_or_else(|| self.add(parent, &canonical, key));
        let same = matches!(&self.tree.node(id).value, Value::Leaf(old) if old == bytes);
        if self.stamp.is_none() || !same {
            self.tree.set_leaf(id, bytes);
            self.merged.changed += 1;
        }
        Ok(())
    }

    fn add(&mut self, parent: NodeId, canonical: &[u8], key: &[u8]) -> NodeId {
        let id = self.tree.add_child(parent, canonical, key);
        self.tree.stamp(id, self.stamp.unwrap_or_default());
        id
    }

    fn skip(&mut self, values: u64) -> Result<(), WireError> {
        for _ in 0..values {
            self.reader.skip()?;
        }
        Ok(())
    }

    /// Whether a package can carry this value, and its deletion; if not, that is noted.
    fn fits(&mut self, around: usize, value: usize) -> bool {
        let (size, limit) = (around + value.max(TO_DELETE_MSGPACK.len()), self.tree.limit());
        if size > limit {
            self.merged.too_large.push(TooLarge { path: readable(&self.path), size, limit });
        }
        size <= limit
    }
}

/// A path as one would write it in Python.
fn readable(path: &[&[u8]]) -> String {
    let mut text = String::new();
    for key in path {
        // Writing to a string cannot fail.
        let _ = match Reader::new(key).next() {
            Ok(Token::Str(name)) if text.is_empty() => write!(text, "{name}"),
            Ok(Token::Str(name)) if name.chars().all(|c| c == '_' || c.is_alphanumeric()) => {
                write!(text, ".{name}")
            }
            Ok(Token::Str(name)) => write!(text, "[{name:?}]"),
            Ok(Token::Uint(number)) => write!(text, "[{number}]"),
            Ok(Token::Int(number)) => write!(text, "[{number}]"),
            Ok(Token::F32(number)) => write!(text, "[{number:?}]"),
            Ok(Token::F64(number)) => write!(text, "[{number:?}]"),
            Ok(Token::Bool(truth)) => write!(text, "[{}]", if truth { "True" } else { "False" }),
            Ok(Token::Nil) => write!(text, "[None]"),
            _ => write!(text, "[...]"),
        };
    }
    text
}
