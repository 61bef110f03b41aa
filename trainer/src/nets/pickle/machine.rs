//! The pickle machine: a stack, marks on it, and a memo of values met before. Runs nothing.
//!
//! Opcodes are those that Python's `pickle` writes in protocols 2 to 4 (`pickletools`, Python
//! 3.11). Enters: bytes. Leaves: a [`Pickle`]. Memory is bounded by the number of bytes: values
//! refer to each other and are never copied.

use super::value::{Id, Pickle, Value};
use std::collections::HashMap;

/// Result whose error says what is wrong with the pickle.
pub(super) type Parsed<T> = Result<T, String>;

/// Reads the pickle at the beginning of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed<Pickle> {
    let mut machine = Machine { bytes, at: 0, values: vec![], stack: vec![], below: vec![], memo: HashMap::new() };
    match machine.run() {
        Ok(root) => Ok(Pickle { values: machine.values, root, length: machine.at }),
        Err(e) => Err(format!("{e} (byte {} of the pickle)", machine.at)),
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    /// Bytes read so far.
    at: usize,
    values: Vec<Value>,
    /// What was pushed since the last mark.
    stack: Vec<Id>,
    /// What was pushed before each mark; it is out of reach.
    below: Vec<Vec<Id>>,
    memo: HashMap<usize, Id>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Parsed<Id> {
        loop {
            match self.take(1)?[0] {
                b'.' => return self.pop(),
                opcode => {
                    if let Some(value) = self.value(opcode)? {
                        let id = self.add(value);
                        self.stack.push(id);
                    }
                }
            }
        }
    }

    /// The value that an opcode makes; none for one that only moves values.
    fn value(&mut self, opcode: u8) -> Parsed<Option<Value>> {
        Ok(Some(match opcode {
            b'N' | 0x88 => Value::Other,
            0x89 => Value::False,
            b'G' => self.take(8).map(|_| Value::Other)?,
            b'C' => self.sized(1).map(|_| Value::Other)?,
            b'B' => self.sized(4).map(|_| Value::Other)?,
            0x8e | 0x96 => self.sized(8).map(|_| Value::Other)?,
            b'K' => Value::Int(self.unsigned(1)? as i64),
            b'M' => Value::Int(self.unsigned(2)? as i64),
            b'J' => integer(self.take(4)?),
            0x8a => integer(self.sized(1)?),
            0x8b => integer(self.sized(4)?),
            // U and T are bytes, which Python 2 used for its strings.
            0x8c | b'U' => text(self.sized(1)?),
            b'X' | b'T' => text(self.sized(4)?),
            0x8d => text(self.sized(8)?),
            b')' | b']' | 0x8f => Value::Sequence(Vec::new()),
            b'}' => Value::Dict(Vec::new()),
            0x85..=0x87 => Value::Sequence(self.pop_many(usize::from(opcode - 0x84))?),
            b't' | b'l' | 0x91 => Value::Sequence(self.pop_to_mark()?),
            b'd' => Value::Dict(pairs(&self.pop_to_mark()?)?),
            b'c' => {
                let (module, name) = (text(self.line()?), text(self.line()?));
                Value::Global(self.add(module), self.add(name))
            }
            0x93 => {
                let names = self.pop_many(2)?;
                Value::Global(names[0], names[1])
            }
            // REDUCE and NEWOBJ differ in what Python calls; NEWOBJ_EX has named arguments besides.
            b'R' | 0x81 | 0x92 => {
                let ids = self.pop_many(if opcode == 0x92 { 3 } else { 2 })?;
                Value::Call { function: ids[0], arguments: ids[1], items: Vec::new() }
            }
            b'Q' => Value::Persistent(self.pop()?),
            _ => return self.act(opcode).map(|()| None),
        }))
    }

    /// Moves values and puts them into containers.
    fn act(&mut self, opcode: u8) -> Parsed<()> {
        match opcode {
            // PROTO and FRAME say nothing that is needed.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.below.push(std::mem::take(&mut self.stack)),
            // BUILD sets attributes, such as a state dict's _metadata.
            b'0' | b'b' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => self.stack.push(self.top()?),
            b'q' | b'r' | 0x94 => {
                let key = match opcode {
                    b'q' => self.unsigned(1)?,
                    b'r' => self.unsigned(4)?,
                    _ => self.memo.len(),
                };
                self.memo.insert(key, self.top()?);
            }
            b'h' | b'j' => {
                let key = self.unsigned(if opcode == b'h' { 1 } else { 4 })?;
                self.stack.push(*self.memo.get(&key).ok_or_else(|| format!("memo {key} is empty"))?);
            }
            b's' | b'u' => {
                let items = if opcode == b's' { self.pop_many(2)? } else { self.pop_to_mark()? };
                let top = self.top()?;
                match &mut self.values[top] {
                    Value::Dict(entries) | Value::Call { items: entries, .. } => entries.extend(pairs(&items)?),
                    _ => return Err("items for something that is not a dict".to_owned()),
                }
            }
            b'a' | b'e' | 0x90 => {
                let items = if opcode == b'a' { self.pop_many(1)? } else { self.pop_to_mark()? };
                let top = self.top()?;
                match &mut self.values[top] {
                    Value::Sequence(entries) => entries.extend(items),
                    Value::Call { .. } => {}
                    _ => return Err("items for something that is not a list".to_owned()),
                }
            }
            _ => return Err(format!("opcode {opcode:#04x} is not supported")),
        }
        Ok(())
    }

    fn add(&mut self, value: Value) -> Id {
        self.values.push(value);
        self.values.len() - 1
    }

    fn top(&self) -> Parsed<Id> {
        self.stack.last().copied().ok_or_else(|| "stack is empty".to_owned())
    }

    fn pop(&mut self) -> Parsed<Id> {
        self.stack.pop().ok_or_else(|| "stack is empty".to_owned())
    }

    fn pop_many(&mut self, n: usize) -> Parsed<Vec<Id>> {
        Ok(self.stack.split_off(self.stack.len().checked_sub(n).ok_or("stack is too short")?))
    }

    fn pop_to_mark(&mut self) -> Parsed<Vec<Id>> {
        let below = self.below.pop().ok_or("no mark on the stack")?;
        Ok(std::mem::replace(&mut self.stack, below))
    }

    fn take(&mut self, n: usize) -> Parsed<&'a [u8]> {
        let end = self.at.checked_add(n).ok_or("is truncated")?;
        let bytes = self.bytes.get(self.at..end).ok_or("is truncated")?;
        self.at = end;
        Ok(bytes)
    }

    /// A number of `n` bytes, at most 8, little-endian.
    fn unsigned(&mut self, n: usize) -> Parsed<usize> {
        let mut full = [0; 8];
        full[..n].copy_from_slice(self.take(n)?);
        usize::try_from(u64::from_le_bytes(full)).map_err(|e| e.to_string())
    }

    /// Bytes that follow their number, which takes `n` bytes.
    fn sized(&mut self, n: usize) -> Parsed<&'a [u8]> {
        let length = self.unsigned(n)?;
        self.take(length)
    }

    /// The bytes up to the next line feed, which is skipped.
    fn line(&mut self) -> Parsed<&'a [u8]> {
        let n = self.bytes[self.at..].iter().position(|&b| b == b'\n').ok_or("is truncated")?;
        Ok(&self.take(n + 1)?[..n])
    }
}

/// Keys and values of a dict.
fn pairs(items: &[Id]) -> Parsed<Vec<(Id, Id)>> {
    let pairs = items.chunks_exact(2);
    if pairs.remainder().is_empty() {
        Ok(pairs.map(|pair| (pair[0], pair[1])).collect())
    } else {
        Err("key without a value".to_owned())
    }
}

fn text(bytes: &[u8]) -> Value {
    Value::Text(String::from_utf8_lossy(bytes).into_owned())
}

/// Little-endian with sign.
fn integer(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Long(bytes.to_vec());
    }
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut full = [if negative { 0xff } else { 0 }; 8];
    full[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(full))
}
