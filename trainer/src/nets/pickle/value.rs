//! What a pickle describes: a table of values that refer to each other by number, so that a shared
//! value costs nothing.

/// Place of a value in its [`Pickle`].
pub(super) type Id = usize;

/// One value. Calls are kept, not made.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// None, true, a float or bytes: of no use here.
    Other,
    False,
    Int(i64),
    /// An integer of more than 64 bits, little-endian.
    Long(Vec<u8>),
    Text(String),
    /// A class or function: module and name.
    Global(Id, Id),
    /// A tuple, list or set.
    Sequence(Vec<Id>),
    /// Key and value, in order; of equal keys the last counts.
    Dict(Vec<(Id, Id)>),
    /// What calling `function` would make, and what was then put into it as into a dict.
    Call {
        function: Id,
        arguments: Id,
        items: Vec<(Id, Id)>,
    },
    /// Something outside the pickle, by its identification.
    Persistent(Id),
}

/// A pickled object.
#[derive(Debug)]
pub(super) struct Pickle {
    pub(super) values: Vec<Value>,
    pub(super) root: Id,
    /// Bytes from the beginning to the end.
    pub(super) length: usize,
}

impl Pickle {
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match &self.values[id] {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn sequence(&self, id: Id) -> Option<&[Id]> {
        match &self.values[id] {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// Module and name of a class or function.
    pub(super) fn global(&self, id: Id) -> Option<(&str, &str)> {
        match self.values[id] {
            Value::Global(module, name) => Some((self.text(module)?, self.text(name)?)),
            _ => None,
        }
    }

    /// Entries whose keys are strings, of a dict or of an object of a class derived from it.
    pub(super) fn entries(&self, id: Id) -> Option<impl Iterator<Item = (&str, Id)>> {
        let (Value::Dict(items) | Value::Call { items, .. }) = &self.values[id] else { return None };
        Some(items.iter().filter_map(|&(key, value)| Some((self.text(key)?, value))))
    }

    /// The entry of this name, of a dict.
    pub(super) fn entry(&self, id: Id, name: &str) -> Option<Id> {
        self.entries(id)?.filter(|(key, _)| *key == name).last().map(|(_, value)| value)
    }
}
