//! Reads state dicts that PyTorch's `torch.save` wrote, without Python and without running any
//! code.
//!
//! Enters: a `.pt` or `.pyth` file, in the zip format or that before PyTorch 1.6. Leaves: tensors
//! by name. In the order of the data: `archive` is the file, `machine` makes a table of values of
//! the pickle in it, `tensors` finds tensors in the table. What else a training leaves in its
//! checkpoint (optimiser, configuration, epoch) is stepped over.

mod archive;
mod machine;
mod tensors;
mod value;

#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use archive::Archive;
use machine::Parsed;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use tch::{Device, Kind, Tensor};
use tensors::{Layout, tensor};
use value::{Id, Pickle};

/// Entries of a checkpoint that may hold the network's state dict, the first one present counts.
const STATE_DICTS: [&str; 2] = ["model_state", "state_dict"];
/// Single precision of half precision takes twice the file, and a tensor may be there under several
/// names.
const MAX_GROWTH: u64 = 8;

/// Reads the floating-point tensors of a state dict, in single precision, on the CPU.
///
/// The state dict is the entry `model_state` or `state_dict` of the file's dict if there is one
/// that is a dict, and else the file's dict. Integers, such as the counters of batch norm, and what
/// is not a tensor are left out.
///
/// # Errors
///
/// If the file cannot be read, is truncated or damaged, was not written by `torch.save`, or holds
/// no dict with tensors; and for tensors of unknown kinds (sparse, quantised, 8 bits).
pub fn read_state_dict(path: &Path) -> Result<HashMap<String, Tensor>> {
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    let n_bytes = file.metadata().map_err(Error::io(path))?.len();
    let broken = |e: String| Error::content(path, format!("not a PyTorch state dict: {e}"));
    let (mut archive, pickle) = Archive::open(file, n_bytes).map_err(broken)?;
    let layouts = layouts(&pickle, n_bytes).map_err(broken)?;
    let mut tensors = HashMap::new();
    let mut loaded: Option<(&str, Tensor)> = None;
    for (name, layout) in layouts {
        let storage = layout.storage;
        if loaded.as_ref().is_none_or(|(key, flat)| *key != storage.key || flat.kind() != storage.kind) {
            let bytes = archive.read(&storage).map_err(broken)?;
            let flat = Tensor::f_from_data_size(&bytes, &[storage.n_elements as i64], storage.kind)?;
            loaded = Some((storage.key, flat));
        }
        let Some((_, flat)) = &loaded else { continue };
        let view = flat.f_as_strided(&layout.shape[..], &layout.strides[..], layout.offset)?;
        let mut values = Tensor::f_empty(&layout.shape[..], (Kind::Float, Device::Cpu))?;
        values.f_copy_(&view)?;
        tensors.insert(name.to_owned(), values);
    }
    Ok(tensors)
}

/// The state dict's tensors, by storage, so that one storage at a time need be held.
fn layouts(pickle: &Pickle, n_bytes: u64) -> Parsed<Vec<(&str, Layout<'_>)>> {
    let mut by_name = BTreeMap::new();
    for (name, id) in state_dict(pickle)? {
        let layout = tensor(pickle, id).map_err(|e| format!("tensor {:?} {e}", short(name)))?;
        by_name.insert(name, layout);
    }
    let floats =
        |layout: &Layout<'_>| matches!(layout.storage.kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16);
    let tensors = by_name.into_iter().filter_map(|(name, layout)| Some((name, layout.filter(floats)?)));
    let mut layouts: Vec<(&str, Layout<'_>)> = tensors.collect();
    if layouts.is_empty() {
        return Err("holds no floating-point tensor".to_owned());
    }
    let limit = n_bytes.saturating_mul(MAX_GROWTH);
    let mut sizes = layouts.iter().map(|(_, layout)| layout.n_elements().and_then(|n| (n as u64).checked_mul(4)));
    let total = sizes.try_fold(0u64, |sum, n| sum.checked_add(n?));
    if total.is_none_or(|total| total > limit) {
        return Err(format!("its tensors are much larger than the file, which has {n_bytes} bytes"));
    }
    layouts.sort_by_key(|(_, layout)| layout.storage.key);
    Ok(layouts)
}

/// Entries of the state dict.
fn state_dict(pickle: &Pickle) -> Parsed<impl Iterator<Item = (&str, Id)>> {
    let nested = STATE_DICTS.iter().filter_map(|name| pickle.entry(pickle.root, name));
    let nested = nested.filter_map(|id| pickle.entries(id)).next();
    nested.or_else(|| pickle.entries(pickle.root)).ok_or_else(|| "is not a dict".to_owned())
}

/// For messages: a damaged file's names may be long.
fn short(name: &str) -> String {
    name.chars().take(60).collect()
}
