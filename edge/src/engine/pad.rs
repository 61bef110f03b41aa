//! Zeros around the rows of an activation: an optimized network enters, the same network with
//! faster padding leaves.
//!
//! Where a convolution pads its frequency axis, the inference library pads the activation first,
//! element by element, which was a sixth of the instructions of `home` 2.0.0. Here whole rows are
//! copied. The values are the same, bit for bit.

use tract_onnx::prelude::{Tensor, TypedModel};
use tract_onnx::tract_core::internal::{
    Datum, EvalContext, EvalOp, Op, StaticName, TValue, TVec, TractResult, TypedFact, TypedModelPatch, TypedNode,
    TypedOp, args_1, as_op, op_as_typed_op, op_out_of_plan, tvec,
};
use tract_onnx::tract_core::model::Rewriter;
use tract_onnx::tract_core::ops::array::{Pad, PadMode};

/// Replaces what pads the last axis of a single-precision activation by zeros.
pub(super) fn pad_by_rows(mut network: TypedModel) -> TractResult<TypedModel> {
    let rule = |(): &(), model: &TypedModel, node: &TypedNode, _: &str, pad: &Pad| match PadRows::of(
        pad,
        model.outlet_fact(node.inputs[0])?,
    )? {
        Some(rows) => TypedModelPatch::single_unary_op(model, node, rows).map(Some),
        None => Ok(None),
    };
    Rewriter::default().with_rule_for("pad-by-rows", rule).rewrite(&(), &mut network)?;
    Ok(network)
}

/// Zeros before and after each row, a row being the last axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PadRows {
    before: usize,
    after: usize,
}

impl PadRows {
    /// What `pad` does, if it does no more than this.
    fn of(pad: &Pad, input: &TypedFact) -> TractResult<Option<Self>> {
        let PadMode::Constant(value) = &pad.mode else { return Ok(None) };
        let Some((&(before, after), others)) = pad.pads.split_last() else { return Ok(None) };
        let is_this = input.datum_type == f32::datum_type()
            && value.cast_to_scalar::<f32>()?.to_bits() == 0
            && others.iter().all(|&pads| pads == (0, 0));
        Ok(is_this.then_some(PadRows { before, after }))
    }
}

impl Op for PadRows {
    fn name(&self) -> StaticName {
        "PadRows".into()
    }

    op_as_typed_op!();
}

impl EvalOp for PadRows {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let mut shape: TVec<usize> = input.shape().into();
        let Some(row) = shape.last_mut() else { return Ok(tvec!(input)) };
        let n = *row;
        let n_padded = self.before + n + self.after;
        *row = n_padded;
        let mut output = Tensor::zero::<f32>(&shape)?;
        if n > 0 {
            let (mut rows, source) = (output.try_as_plain_ram_mut()?, input.try_as_plain_ram()?);
            let pairs =
                rows.as_slice_mut::<f32>()?.chunks_exact_mut(n_padded).zip(source.as_slice::<f32>()?.chunks_exact(n));
            pairs.for_each(|(to, from)| to[self.before..self.before + n].copy_from_slice(from));
        }
        Ok(tvec!(output.into()))
    }
}

impl TypedOp for PadRows {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let mut fact = inputs[0].without_value();
        let last = fact.rank() - 1;
        fact.shape.set(last, fact.shape[last].clone() + self.before + self.after);
        Ok(tvec!(fact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::prelude::DatumExt;
    use tract_onnx::tract_core::internal::{IntoRunnable, SpecialOps};

    fn padded(pads: Vec<(usize, usize)>, mode: PadMode) -> (String, Vec<f32>) {
        let mut model = TypedModel::default();
        let x = model.add_source("x", f32::fact([2, 3, 4])).unwrap();
        let y = model.wire_node("pad", Pad { pads, mode }, &[x]).unwrap();
        model.select_output_outlets(&y).unwrap();
        let model = pad_by_rows(model).unwrap();
        let name = model.node_by_name("pad").unwrap().op.name().to_string();
        let values: Vec<f32> = (0..24u8).map(f32::from).collect();
        let input = Tensor::from_shape(&[2, 3, 4], &values).unwrap();
        let output = model.into_runnable().unwrap().run(tvec!(input.into())).unwrap();
        (name, output[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect())
    }

    #[test]
    fn rows_get_their_zeros_and_other_pads_stay_what_they_are() {
        let (name, values) = padded(vec![(0, 0), (0, 0), (2, 1)], PadMode::default());
        assert_eq!(name, "PadRows");
        let expected: Vec<f32> = (0..6u8)
            .flat_map(|row| [0.0, 0.0].into_iter().chain((0..4).map(move |i| f32::from(4 * row + i))).chain([0.0]))
            .collect();
        assert_eq!(values, expected);
        for (pads, mode) in [
            (vec![(0, 0), (1, 0), (2, 1)], PadMode::default()),
            (vec![(0, 0), (0, 0), (1, 1)], PadMode::Edge),
            (vec![(0, 0), (0, 0), (1, 1)], PadMode::Constant(Tensor::from(1f32).into())),
        ] {
            let (name, values) = padded(pads, mode);
            assert_eq!(name, "Pad");
            assert!(values.len() > 24);
        }
    }
}
