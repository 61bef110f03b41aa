//! Which of a pickle's values are tensors, and where their elements lie; the functions that make
//! them are named as in PyTorch 2.11's `torch/_utils.py` and `torch/_tensor.py`.

use super::machine::Parsed;
use super::short;
use super::value::{Id, Pickle, Value};
use tch::Kind;

/// More dimensions than PyTorch's operators take.
const MAX_DIMENSIONS: usize = 64;
/// A parameter of a tensor of a tensor ...; PyTorch writes two at most.
const MAX_WRAPPERS: usize = 8;

/// Elements that lie elsewhere in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Storage<'a> {
    /// Its name in the file.
    pub(super) key: &'a str,
    pub(super) kind: Kind,
    pub(super) n_elements: usize,
    pub(super) n_bytes: usize,
}

/// A tensor as a view of a storage.
#[derive(Debug, PartialEq)]
pub(super) struct Layout<'a> {
    pub(super) storage: Storage<'a>,
    /// In elements, as the strides.
    pub(super) offset: i64,
    pub(super) shape: Vec<i64>,
    pub(super) strides: Vec<i64>,
}

impl Layout<'_> {
    /// Number of elements; none if it is absurd.
    pub(super) fn n_elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(usize::try_from(size).ok()?))
    }

    /// Whether every element lies in the storage.
    fn fits(&self) -> bool {
        if self.shape.contains(&0) {
            return true;
        }
        let last = self
            .shape
            .iter()
            .zip(&self.strides)
            .try_fold(self.offset, |at, (size, stride)| at.checked_add((size - 1).checked_mul(*stride)?));
        last.and_then(|last| usize::try_from(last).ok()).is_some_and(|last| last < self.storage.n_elements)
    }
}

/// The tensor that a value is; none for what is not a tensor.
///
/// # Errors
///
/// For a tensor of an unknown kind, and for one that does not lie in its storage.
pub(super) fn tensor(pickle: &Pickle, id: Id) -> Parsed<Option<Layout<'_>>> {
    let mut id = id;
    for _ in 0..MAX_WRAPPERS {
        let Value::Call { function, arguments, .. } = pickle.values[id] else { return Ok(None) };
        let Some(function) = pickle.global(function) else { return Ok(None) };
        let arguments = pickle.sequence(arguments).unwrap_or_default();
        match function {
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => return layout(pickle, arguments).map(Some),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                id = *arguments.first().ok_or("parameter without a tensor")?;
            }
            // (function, type, arguments, state): of a class derived from Tensor.
            ("torch._tensor", "_rebuild_from_type" | "_rebuild_from_type_v2") => {
                let inner = arguments.first().and_then(|&f| pickle.global(f));
                let inner_arguments = arguments.get(2).and_then(|&a| pickle.sequence(a));
                return match (inner, inner_arguments) {
                    (Some(("torch._utils", "_rebuild_tensor_v2")), Some(a)) => layout(pickle, a).map(Some),
                    _ => Err("is of an unknown kind".to_owned()),
                };
            }
            ("torch._utils", name) if name.starts_with("_rebuild") => {
                return Err(format!("is of an unknown kind ({})", short(name)));
            }
            _ => return Ok(None),
        }
    }
    Err("is wrapped too often".to_owned())
}

/// All storages that the pickle refers to, whether a tensor needs them or not.
pub(super) fn storages(pickle: &Pickle) -> Parsed<Vec<Storage<'_>>> {
    let ids = pickle.values.iter().filter_map(|v| if let Value::Persistent(id) = v { Some(*id) } else { None });
    ids.map(|id| storage(pickle, id)).collect()
}

/// From `(storage, offset, shape, strides, ...)`.
fn layout<'a>(pickle: &'a Pickle, arguments: &[Id]) -> Parsed<Layout<'a>> {
    let &[elements, offset, shape, strides, ..] = arguments else {
        return Err("lacks storage, offset, shape or strides".to_owned());
    };
    let Value::Persistent(elements) = pickle.values[elements] else { return Err("has no storage".to_owned()) };
    let Value::Int(offset @ 0..) = pickle.values[offset] else { return Err("begins nowhere".to_owned()) };
    let layout = Layout {
        storage: storage(pickle, elements)?,
        offset,
        shape: sizes(pickle, shape)?,
        strides: sizes(pickle, strides)?,
    };
    if layout.shape.len() != layout.strides.len() || !layout.fits() {
        return Err(format!(
            "does not lie in its storage: shape {:?}, strides {:?}, offset {offset}, {} elements",
            layout.shape, layout.strides, layout.storage.n_elements
        ));
    }
    Ok(layout)
}

/// From `("storage", class, key, device, n_elements)` and, before PyTorch 0.4, a view.
fn storage(pickle: &Pickle, id: Id) -> Parsed<Storage<'_>> {
    let items = pickle.sequence(id).unwrap_or_default();
    let &[what, class, key, _, n, ..] = items else {
        return Err("has a storage without class, key or size".to_owned());
    };
    let (Some("storage"), Some(key), Value::Int(n)) = (pickle.text(what), pickle.text(key), &pickle.values[n]) else {
        return Err("has a storage without key or size".to_owned());
    };
    if items.get(5).is_some_and(|&view| pickle.sequence(view).is_some()) {
        return Err("has a view of a storage as storage; save it with PyTorch 0.4 or later".to_owned());
    }
    let class = pickle.global(class).map_or("nothing", |(_, name)| name);
    let kind = kind(class).ok_or_else(|| format!("has elements of an unknown kind ({})", short(class)))?;
    let n_elements = usize::try_from(*n).map_err(|_| format!("has a storage of {n} elements"))?;
    let n_bytes = n_elements.checked_mul(kind.elt_size_in_bytes());
    let n_bytes = n_bytes.ok_or_else(|| format!("has a storage of {n} elements"))?;
    Ok(Storage { key, kind, n_elements, n_bytes })
}

fn kind(class: &str) -> Option<Kind> {
    Some(match class.strip_suffix("Storage")? {
        "Float" => Kind::Float,
        "Double" => Kind::Double,
        "Half" => Kind::Half,
        "BFloat16" => Kind::BFloat16,
        "Long" => Kind::Int64,
        "Int" => Kind::Int,
        "Short" => Kind::Int16,
        "Char" => Kind::Int8,
        "Byte" | "Untyped" => Kind::Uint8,
        "Bool" => Kind::Bool,
        "ComplexFloat" => Kind::ComplexFloat,
        "ComplexDouble" => Kind::ComplexDouble,
        _ => return None,
    })
}

fn sizes(pickle: &Pickle, id: Id) -> Parsed<Vec<i64>> {
    let items = pickle.sequence(id).filter(|items| items.len() <= MAX_DIMENSIONS).ok_or("has no shape")?;
    let size = |&id: &Id| match pickle.values[id] {
        Value::Int(n @ 0..) => Ok(n),
        _ => Err("has a shape that holds no size".to_owned()),
    };
    items.iter().map(size).collect()
}
