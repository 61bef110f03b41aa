//! Convolutions of 8-bit networks: a network in the inference library's operators enters, the same
//! network with the convolutions of [`edge_int8`] leaves.
//!
//! The inference library computes `QLinearConv` by some ten operators, which pass over the
//! activations one after another. One operator here does the same work in one pass.

use std::cell::RefCell;
use std::sync::Arc;

use edge_int8::{Conv, Geometry, Kernel, Parameters, Scratch};
use tract_onnx::prelude::{DatumTypeExt, Tensor, TypedModel, tvec};
use tract_onnx::tract_core::internal::{
    Datum, EvalContext, EvalOp, Op, OutletId, StaticName, TValue, TVec, TractError, TractResult, TypedFact,
    TypedModelPatch, TypedNode, TypedOp, args_1, as_op, op_as_typed_op, op_out_of_plan,
};
use tract_onnx::tract_core::model::Rewriter;
use tract_onnx::tract_core::ops::cnn::{Conv as PlainConv, KernelFormat, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::nn::DataFormat;

/// Replaces convolutions whose activations and weights are of type `i8`, as the trainer writes
/// them. Others stay what they are. Returns whether there were some and none of 8 bits is left.
pub(super) fn convolve(mut network: TypedModel, kernel: Kernel) -> TractResult<(TypedModel, bool)> {
    let rule = move |(): &(), model: &TypedModel, node: &TypedNode, _: &str, conv: &PlainConv| match Int8Conv::of(
        conv, model, node, kernel,
    )? {
        Some(conv) => TypedModelPatch::replace_single_op(model, node, &node.inputs[..1], conv).map(Some),
        None => Ok(None),
    };
    Rewriter::default().with_rule_for("convolve-int8", rule).rewrite(&(), &mut network)?;
    let has_own = network.nodes().iter().any(|node| node.op_is::<Int8Conv>());
    let is_plain = |node: &TypedNode| node.op_as::<PlainConv>().is_some_and(|conv| conv.q_params.is_some());
    let has_plain = network.nodes().iter().any(is_plain);
    Ok((network, has_own && !has_plain))
}

/// A convolution whose weights are arranged for this processor.
#[derive(Clone, Debug)]
struct Int8Conv {
    conv: Arc<Conv>,
    /// For shapes that are not known yet.
    pool: PoolSpec,
}

impl Int8Conv {
    /// What `plain` computes, if it is of this kind.
    fn of(plain: &PlainConv, model: &TypedModel, node: &TypedNode, kernel: Kernel) -> TractResult<Option<Self>> {
        let Some(geometry) = geometry(plain) else { return Ok(None) };
        let &[input, weight, bias, input_zero, input_scale, weight_zero, weight_scale, output_zero, output_scale] =
            node.inputs.as_slice()
        else {
            return Ok(None);
        };
        let i8 = i8::datum_type();
        if plain.q_params != Some(i8) || model.outlet_fact(input)?.datum_type != i8 {
            return Ok(None);
        }
        let channels = geometry.channels[1];
        let (Some(weight), Some(bias), Some(input_zero), Some(weight_zero), Some(output_zero)) = (
            values::<i8>(model, weight)?,
            values::<i32>(model, bias)?,
            values::<i32>(model, input_zero)?,
            values::<i32>(model, weight_zero)?,
            values::<i32>(model, output_zero)?,
        ) else {
            return Ok(None);
        };
        let (Some(input_scale), Some(weight_scale), Some(output_scale)) = (
            values::<f32>(model, input_scale)?,
            values::<f32>(model, weight_scale)?,
            values::<f32>(model, output_scale)?,
        ) else {
            return Ok(None);
        };
        let (&[input_zero], &[output_zero], &[input_scale], &[output_scale]) =
            (&*input_zero, &*output_zero, &*input_scale, &*output_scale)
        else {
            return Ok(None);
        };
        let (Ok(input_zero), Ok(output_zero)) = (i8::try_from(input_zero), i8::try_from(output_zero)) else {
            return Ok(None);
        };
        if weight_zero.iter().any(|&zero| zero != 0) {
            return Ok(None);
        }
        let scales = per_channel(weight_scale, channels);
        let multiplier: Vec<f32> = scales.iter().map(|scale| scale * input_scale / output_scale).collect();
        let parameters = Parameters {
            weight: &weight,
            bias: &per_channel(bias, channels),
            multiplier: &multiplier,
            input_zero,
            output_zero,
        };
        // What does not fit is reported by the inference library, in its own words.
        let Ok(conv) = Conv::new(geometry, &parameters, kernel) else { return Ok(None) };
        Ok(Some(Int8Conv { conv: Arc::new(conv), pool: plain.pool_spec.clone() }))
    }
}

/// The geometry of `plain`, if it has two axes, whose padding is written out, and no groups.
fn geometry(plain: &PlainConv) -> Option<Geometry> {
    let pool = &plain.pool_spec;
    let is_this = plain.group == 1
        && plain.kernel_fmt == KernelFormat::OIHW
        && pool.data_format == DataFormat::NCHW
        && pool.kernel_shape.len() == 2;
    if !is_this {
        return None;
    }
    let padding = match &pool.padding {
        PaddingSpec::Valid => [(0, 0); 2],
        PaddingSpec::Explicit(before, after) => [(before[0], after[0]), (before[1], after[1])],
        _ => return None,
    };
    let pair = |values: &[usize]| [values[0], values[1]];
    Some(Geometry {
        channels: [pool.input_channels, pool.output_channels],
        kernel: pair(&pool.kernel_shape),
        stride: pair(&pool.strides()),
        dilation: pair(&pool.dilations()),
        padding,
    })
}

/// The values of a constant.
fn values<T: Datum + Copy>(model: &TypedModel, outlet: OutletId) -> TractResult<Option<Vec<T>>> {
    let Some(constant) = model.node(outlet.node).op_as::<Const>() else { return Ok(None) };
    if constant.val().datum_type() != T::datum_type() {
        return Ok(None);
    }
    Ok(Some(constant.val().to_plain_array_view::<T>()?.iter().copied().collect()))
}

/// One value for each of `n` channels: the values themselves, or the only one `n` times.
fn per_channel<T: Copy>(values: Vec<T>, n: usize) -> Vec<T> {
    if let &[value] = &*values { vec![value; n] } else { values }
}

thread_local! {
    /// The working memory of all convolutions of this thread: one at a time runs.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Clones are equal; others are never compared.
impl PartialEq for Int8Conv {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.conv, &other.conv)
    }
}

impl Eq for Int8Conv {}

impl Op for Int8Conv {
    fn name(&self) -> StaticName {
        "Int8Conv".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Int8Conv {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let &[n, _, rows, columns] = input.shape() else {
            return Err(TractError::msg("expected 4 axes"));
        };
        let geometry = self.conv.geometry();
        let [rows_out, columns_out] = geometry.output([rows, columns]);
        let mut output = Tensor::zero::<i8>(&[n, geometry.channels[1], rows_out, columns_out])?;
        let (mut to, from) = (output.try_as_plain_ram_mut()?, input.try_as_plain_ram()?);
        let (to, from) = (to.as_slice_mut::<i8>()?, from.as_slice::<i8>()?);
        let len = |values: usize| (values / n.max(1)).max(1);
        SCRATCH.with_borrow_mut(|scratch| {
            from.chunks(len(from.len()))
                .zip(to.chunks_mut(len(to.len())))
                .try_for_each(|(from, to)| self.conv.run_with_scratch(from, [rows, columns], to, scratch))
                .map_err(|error| TractError::msg(error.to_string()))
        })?;
        Ok(tvec!(output.into()))
    }
}

impl TypedOp for Int8Conv {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(i8::datum_type().fact(self.pool.output_shape(&inputs[0].shape)?.shape)))
    }
}
