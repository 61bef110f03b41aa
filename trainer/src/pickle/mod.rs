//! Reads state dicts that PyTorch's `torch.save` wrote (zip format), without Python.
//!
//! Enters: a `.pt` file. Leaves: tensors by name. Only what a plain dict of float tensors needs of the pickle protocol is
//! understood (Python 3 `pickletools`, protocol 2), and no code is run: everything else is an error.

use crate::error::{Error, Result};
use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use tch::{Kind, Tensor};

/// What the pickle machine's stack holds.
#[derive(Debug, Clone)]
enum Value {
    Mark,
    Int(i64),
    /// A value that no tensor needs.
    Other,
    Text(String),
    Global(String),
    Tuple(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// Storage key; the only persistent object there is.
    Storage(String),
    Tensor {
        storage: String,
        offset: usize,
        shape: Vec<i64>,
        strides: Vec<i64>,
    },
}

/// Reads the single-precision tensors of a state dict.
///
/// # Errors
///
/// If the file cannot be read, is no such archive, or holds anything but a dict of float tensors.
pub fn read_state_dict(path: &Path) -> Result<HashMap<String, Tensor>> {
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    let broken = |e: &dyn std::fmt::Display| Error::content(path, format!("no PyTorch state dict: {e}"));
    let mut archive = zip::ZipArchive::new(file).map_err(|e| broken(&e))?;
    let index = archive.file_names().find(|n| n.ends_with("/data.pkl")).map(str::to_owned);
    let index = index.ok_or_else(|| broken(&"data.pkl is missing"))?;
    let folder = index.trim_end_matches("data.pkl").to_owned();
    let mut read = |name: &str| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut entry = archive.by_name(name).map_err(|e| broken(&format!("{name}: {e}")))?;
        entry.read_to_end(&mut bytes).map_err(Error::io(path))?;
        Ok(bytes)
    };
    let root = Machine { bytes: &read(&index)?, at: 0, stack: Vec::new(), memo: HashMap::new() }
        .run()
        .map_err(|e| broken(&e))?;
    let Value::Dict(entries) = root else { return Err(broken(&"is not a dict")) };
    let mut tensors = HashMap::new();
    for (key, value) in entries {
        let (Value::Text(name), Value::Tensor { storage, offset, shape, strides }) = (key, value) else { continue };
        let bytes = read(&format!("{folder}data/{storage}"))?;
        let values: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let last: i64 = shape.iter().zip(&strides).map(|(n, s)| (n - 1) * s).sum();
        if last < 0 || offset + last as usize >= values.len() {
            return Err(broken(&format!("tensor {name:?} exceeds its storage")));
        }
        let flat = Tensor::f_from_slice(&values)?.f_to_kind(Kind::Float)?;
        tensors.insert(name, flat.f_as_strided(&shape[..], &strides[..], offset as i64)?.f_contiguous()?);
    }
    Ok(tensors)
}

/// The pickle machine: a stack, and a memo of values met before.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
}

impl Machine<'_> {
    fn run(mut self) -> std::result::Result<Value, String> {
        loop {
            let opcode = self.take(1)?[0];
            match opcode {
                0x80 => drop(self.take(1)?), // PROTO
                b'.' => return self.pop(),
                b'(' => self.stack.push(Value::Mark),
                b'}' => self.stack.push(Value::Dict(Vec::new())),
                b')' => self.stack.push(Value::Tuple(Vec::new())),
                b'N' | 0x88 | 0x89 => self.stack.push(Value::Other),
                b'K' => self.integer(1)?,
                b'M' => self.integer(2)?,
                b'J' => self.integer(4)?,
                0x8a => {
                    let n = self.take(1)?[0];
                    self.integer(usize::from(n))?;
                }
                b'X' => {
                    let n = self.word()? as usize;
                    let text = String::from_utf8(self.take(n)?.to_vec()).map_err(|e| e.to_string())?;
                    self.stack.push(Value::Text(text));
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.stack.push(Value::Global(format!("{module}.{name}")));
                }
                b'q' => {
                    let key = u32::from(self.take(1)?[0]);
                    self.remember(key)?;
                }
                b'r' => {
                    let key = self.word()?;
                    self.remember(key)?;
                }
                b'h' => {
                    let key = u32::from(self.take(1)?[0]);
                    self.recall(key)?;
                }
                b'j' => {
                    let key = self.word()?;
                    self.recall(key)?;
                }
                0x85..=0x87 => {
                    let at = self.stack.len().checked_sub(usize::from(opcode - 0x84)).ok_or("stack is too short")?;
                    let items = self.stack.split_off(at);
                    self.stack.push(Value::Tuple(items));
                }
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.stack.push(Value::Tuple(items));
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(vec![key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(items)?;
                }
                b'Q' => {
                    let storage = storage(self.pop()?)?;
                    self.stack.push(storage);
                }
                b'R' => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    self.stack.push(call(function, arguments)?);
                }
                b'b' => drop(self.pop()?), // BUILD: attributes of a dict, such as _metadata
                other => return Err(format!("pickle opcode {other:#04x} is not supported")),
            }
        }
    }

    fn take(&mut self, n: usize) -> std::result::Result<&[u8], String> {
        let end = self.at.checked_add(n).ok_or("pickle is truncated")?;
        let bytes = self.bytes.get(self.at..end).ok_or("pickle is truncated")?;
        self.at = end;
        Ok(bytes)
    }

    fn word(&mut self) -> std::result::Result<u32, String> {
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn line(&mut self) -> std::result::Result<String, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let n = rest.iter().position(|&b| b == b'\n').ok_or("pickle is truncated")?;
        let line = String::from_utf8_lossy(self.take(n)?).into_owned();
        self.take(1)?;
        Ok(line)
    }

    /// Little-endian; signed where the protocol says so, which is from 4 bytes on.
    fn integer(&mut self, n: usize) -> std::result::Result<(), String> {
        if n > 8 {
            return Err("integer is too long".to_owned());
        }
        let bytes = self.take(n)?;
        let negative = n >= 4 && bytes[n - 1] & 0x80 != 0;
        let mut full = [if negative { 0xff } else { 0 }; 8];
        full[..n].copy_from_slice(bytes);
        self.stack.push(Value::Int(i64::from_le_bytes(full)));
        Ok(())
    }

    fn pop(&mut self) -> std::result::Result<Value, String> {
        self.stack.pop().ok_or_else(|| "stack is empty".to_owned())
    }

    fn pop_to_mark(&mut self) -> std::result::Result<Vec<Value>, String> {
        let mark = self.stack.iter().rposition(|v| matches!(v, Value::Mark)).ok_or("no mark on the stack")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn remember(&mut self, key: u32) -> std::result::Result<(), String> {
        let value = self.stack.last().ok_or("stack is empty")?;
        // A dict is filled after it was remembered, and never recalled in a state dict.
        if !matches!(value, Value::Dict(_)) {
            self.memo.insert(key, value.clone());
        }
        Ok(())
    }

    fn recall(&mut self, key: u32) -> std::result::Result<(), String> {
        let value = self.memo.get(&key).ok_or_else(|| format!("memo {key} is empty"))?.clone();
        self.stack.push(value);
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> std::result::Result<(), String> {
        let Some(Value::Dict(entries)) = self.stack.last_mut() else { return Err("items for no dict".to_owned()) };
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            entries.push((key, value));
        }
        Ok(())
    }
}

/// A persistent id: `("storage", type, key, device, n_elements)`.
fn storage(id: Value) -> std::result::Result<Value, String> {
    let Value::Tuple(items) = id else { return Err("persistent id is no tuple".to_owned()) };
    match &items[..] {
        [Value::Text(_), Value::Global(kind), Value::Text(key), ..] if kind == "torch.FloatStorage" => {
            Ok(Value::Storage(key.clone()))
        }
        // Counters of batch norm and the like: kept as a value that is no tensor.
        [Value::Text(_), Value::Global(_), ..] => Ok(Value::Other),
        _ => Err("persistent id is no storage".to_owned()),
    }
}

/// The two calls of a state dict: an empty OrderedDict, and `_rebuild_tensor_v2(storage, offset, shape, strides, ...)`.
fn call(function: Value, arguments: Value) -> std::result::Result<Value, String> {
    let (Value::Global(name), Value::Tuple(arguments)) = (function, arguments) else {
        return Err("call of no function".to_owned());
    };
    match (name.as_str(), &arguments[..]) {
        ("collections.OrderedDict", []) => Ok(Value::Dict(Vec::new())),
        ("torch._utils._rebuild_tensor_v2", [Value::Storage(key), Value::Int(offset), shape, strides, ..]) => {
            let offset = usize::try_from(*offset).map_err(|e| e.to_string())?;
            Ok(Value::Tensor { storage: key.clone(), offset, shape: integers(shape)?, strides: integers(strides)? })
        }
        ("torch._utils._rebuild_tensor_v2", _) => Ok(Value::Other),
        _ => Err(format!("call of {name} is not supported")),
    }
}

fn integers(value: &Value) -> std::result::Result<Vec<i64>, String> {
    let Value::Tuple(items) = value else { return Err("shape is no tuple".to_owned()) };
    let integer = |v: &Value| match v {
        Value::Int(n) if *n >= 0 => Ok(*n),
        _ => Err("shape holds no integer".to_owned()),
    };
    items.iter().map(integer).collect()
}
