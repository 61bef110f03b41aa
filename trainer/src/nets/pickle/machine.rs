//! The pickle machine: a stack, marks on it, and a memo of values met before. Runs nothing.
//!
//! Opcodes are those that Python's `pickle` writes in protocols 2 to 4 (`pickletools`, Python 3.11).
//! Enters: bytes. Leaves: a [`Pickle`]. Memory is bounded by the number of bytes: values refer to each other and are
//! never copied.

use super::bytes::Bytes;
use super::value::{Id, Pickle, Value};
use std::collections::HashMap;

/// Result whose error says what is wrong with the pickle.
pub(super) type Parsed<T> = Result<T, String>;

/// Values that are met again and again, at the beginning of the table.
const OTHER: Id = 0;
const FALSE: Id = 1;

/// Reads the pickle at the beginning of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed<Pickle> {
    let mut machine = Machine {
        bytes: Bytes::new(bytes),
        values: vec![Value::Other, Value::False],
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    match machine.run() {
        Ok(root) => Ok(Pickle { values: machine.values, root, length: machine.bytes.at() }),
        Err(e) => Err(format!("{e} (byte {} of the pickle)", machine.bytes.at())),
    }
}

struct Machine<'a> {
    bytes: Bytes<'a>,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack; what lies below the last one is out of reach.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    fn run(&mut self) -> Parsed<Id> {
        loop {
            let opcode = self.bytes.byte()?;
            if opcode == b'.' {
                return self.pop();
            }
            if !(self.scalar(opcode)?
                || self.container(opcode)?
                || self.stack_or_memo(opcode)?
                || self.object(opcode)?)
            {
                return Err(format!("opcode {opcode:#04x} is not supported"));
            }
        }
    }

    /// Numbers, strings and constants; false for any other opcode.
    fn scalar(&mut self, opcode: u8) -> Parsed<bool> {
        let value = match opcode {
            b'N' | 0x88 | 0x89 => {
                self.stack.push(if opcode == 0x89 { FALSE } else { OTHER });
                return Ok(true);
            }
            b'G' => {
                self.bytes.take(8)?;
                self.stack.push(OTHER);
                return Ok(true);
            }
            b'K' => Value::Int(self.bytes.unsigned(1)? as i64),
            b'M' => Value::Int(self.bytes.unsigned(2)? as i64),
            b'J' => integer(self.bytes.take(4)?),
            0x8a => {
                let n = self.bytes.unsigned(1)?;
                integer(self.bytes.take(n)?)
            }
            0x8b => {
                let n = self.bytes.unsigned(4)?;
                integer(self.bytes.take(n)?)
            }
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            // Bytes, which Python 2 used for its strings.
            b'U' => self.text(1)?,
            b'T' => self.text(4)?,
            b'C' | b'B' | 0x8e | 0x96 => {
                let n = self.bytes.unsigned(match opcode {
                    b'C' => 1,
                    b'B' => 4,
                    _ => 8,
                })?;
                self.bytes.take(n)?;
                self.stack.push(OTHER);
                return Ok(true);
            }
            _ => return Ok(false),
        };
        self.push(value);
        Ok(true)
    }

    /// Tuples, lists, dicts and sets, and what is put into them; false for any other opcode.
    fn container(&mut self, opcode: u8) -> Parsed<bool> {
        match opcode {
            b')' | b']' | 0x8f => self.push(Value::Sequence(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Value::Sequence(items));
            }
            b't' | b'l' | 0x91 => {
                let items = self.pop_to_mark()?;
                self.push(Value::Sequence(items));
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(Vec::new()));
                self.set_items(&items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set_items(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.append(&items)?;
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What moves values without making any; false for any other opcode.
    fn stack_or_memo(&mut self, opcode: u8) -> Parsed<bool> {
        match opcode {
            // PROTO and FRAME say nothing that is needed.
            0x80 => drop(self.bytes.take(1)?),
            0x95 => drop(self.bytes.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => self.stack.push(self.top()?),
            b'q' => {
                let key = self.bytes.unsigned(1)?;
                self.remember(key)?;
            }
            b'r' => {
                let key = self.bytes.unsigned(4)?;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'h' => {
                let key = self.bytes.unsigned(1)?;
                self.recall(key)?;
            }
            b'j' => {
                let key = self.bytes.unsigned(4)?;
                self.recall(key)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Classes, calls and what lies outside the pickle; false for any other opcode.
    fn object(&mut self, opcode: u8) -> Parsed<bool> {
        match opcode {
            b'c' => {
                let (module, name) = (self.bytes.line()?, self.bytes.line()?);
                let (module, name) = (self.add(Value::Text(module)), self.add(Value::Text(name)));
                self.push(Value::Global(module, name));
            }
            0x93 => {
                let names = self.pop_many(2)?;
                self.push(Value::Global(names[0], names[1]));
            }
            // REDUCE and NEWOBJ differ in what Python calls; NEWOBJ_EX has named arguments besides.
            b'R' | 0x81 | 0x92 => {
                let ids = self.pop_many(if opcode == 0x92 { 3 } else { 2 })?;
                self.push(Value::Call { function: ids[0], arguments: ids[1], items: Vec::new() });
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            // BUILD: attributes, such as a state dict's _metadata.
            b'b' => drop(self.pop()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn add(&mut self, value: Value) -> Id {
        self.values.push(value);
        self.values.len() - 1
    }

    fn push(&mut self, value: Value) {
        let id = self.add(value);
        self.stack.push(id);
    }

    fn text(&mut self, n_size_bytes: usize) -> Parsed<Value> {
        let n = self.bytes.unsigned(n_size_bytes)?;
        Ok(Value::Text(String::from_utf8_lossy(self.bytes.take(n)?).into_owned()))
    }

    fn top(&self) -> Parsed<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.get(floor..).and_then(|s| s.last()).copied().ok_or_else(|| "stack is empty".to_owned())
    }

    fn pop(&mut self) -> Parsed<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, n: usize) -> Parsed<Vec<Id>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let at = self.stack.len().checked_sub(n).filter(|&at| at >= floor).ok_or("stack is too short")?;
        Ok(self.stack.split_off(at))
    }

    fn pop_to_mark(&mut self) -> Parsed<Vec<Id>> {
        let mark = self.marks.pop().ok_or("no mark on the stack")?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, key: usize) -> Parsed<()> {
        let key = u32::try_from(key).map_err(|_| "memo is too large")?;
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: usize) -> Parsed<()> {
        let id = u32::try_from(key).ok().and_then(|key| self.memo.get(&key));
        self.stack.push(*id.ok_or_else(|| format!("memo {key} is empty"))?);
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Parsed<()> {
        let top = self.top()?;
        let pairs = items.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err("key without a value".to_owned());
        }
        match &mut self.values[top] {
            Value::Dict(entries) | Value::Call { items: entries, .. } => entries.extend(pairs.map(|p| (p[0], p[1]))),
            _ => return Err("items for what is no dict".to_owned()),
        }
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Parsed<()> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::Sequence(entries) => entries.extend(items),
            Value::Call { .. } => {}
            _ => return Err("items for what is no list".to_owned()),
        }
        Ok(())
    }
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
