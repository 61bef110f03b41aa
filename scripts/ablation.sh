#!/usr/bin/env bash
# What each ingredient of the network of clips (home-clips.toml) brings: the same network trained
# without and with it, in a shorter form. Usage: ablation.sh [OUT]; FOLDS, FEW, EPOCHS, SEED,
# THREADS, CACHE_DIR and EARWITNESS_DATA from the environment. What is finished is not done again.
# Needs `make trainer`.
set -euo pipefail

out=${1:-runs/ablation}
read -ra folds <<<"${FOLDS:-1 2}"
# Folds of the rows that need a SlowFast teacher.
read -ra few <<<"${FEW:-1}"
epochs=${EPOCHS:-40}
seed=${SEED:-1}
recipes=$(cd "$(dirname "$0")/../trainer/recipes" && pwd)
train=${EARWITNESS_TRAIN:-${CARGO_TARGET_DIR:-target}/release/earwitness-train}
common=(--threads "${THREADS:-1}" --seed "$seed" --cache "${CACHE_DIR:-runs/cache}" --resume)
slowfast=$out/slowfast-teacher

# row NAME "FOLDS" OPTION...
row() {
    local name=$1 only
    read -ra only <<<"$2"
    shift 2
    printf '== %s\n' "$name" >&2
    "$train" crossval "$recipes/home-clips.toml" "${common[@]}" --epochs "$epochs" --set stage.0.cycles=1 --only "${only[@]}" \
        --out "$out/$name" "$@"
}

no_augmentation=()
for key in gain_db stretch mel_shift eq_db surround mixup noise; do
    no_augmentation+=(--set "augment.$key=0.0")
done
for key in n_time_masks time_mask n_freq_masks freq_mask; do
    no_augmentation+=(--set "augment.$key=0")
done

row plain "${folds[*]}" --without teacher --without distill "${no_augmentation[@]}"
row augmented "${folds[*]}" --without teacher --without distill
row mn04 "${folds[*]}"

# The SlowFast teacher of a fold: the whole published recipe, whose end leaves each stage's logits
# of the training clips; stage 1 teaches. Of fresh weights, so that it has heard nothing of the
# fold.
for fold in "${few[@]}"; do
    "$train" fit "$recipes/kitchen20-slowfast.toml" --fold "$fold" "${common[@]}" --out "$slowfast/official-$fold"
done
scores="[{ set = \"kitchen20\", path = \"$(realpath "$slowfast")/{fold}/baseline/train-logits.npz\", weight = 1.0 }]"
row slowfast "${few[*]}" --without teacher --set "distill.classifier=0.0" --set "distill.scores=$scores"
row both "${few[*]}" --set "distill.scores=$scores"
