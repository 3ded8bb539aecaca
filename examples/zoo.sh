#!/usr/bin/env bash
# Thresholds of a small zoo, trained against untrained, ranked by their oblique effect.
#
#   bash examples/zoo.sh [DIRECTORY] [MODEL...]
#   WEIGHTS=random bash examples/zoo.sh results 'test_vit*'     # needs no download
#
# Begin it again after an interruption: it does what is missing.
set -euo pipefail
directory=${1:-zoo}
models=("${@:2}")
if [[ ${#models[@]} == 0 ]]; then
  models=(resnet18 resnet50 convnext_tiny vit_small_patch16_224 mixer_b16_224)
fi

status=0
psychophys sweep "${models[@]}" --weights "${WEIGHTS:-pretrained,random}" --phases 4 \
  -o "$directory" || status=$?
# 3: some models failed, the others are measured.
if [[ $status != 0 && $status != 3 ]]; then exit "$status"; fi
psychophys show "$directory" --sort ratio_last --format csv > "${directory%/}-ranking.csv"
echo "ranking in ${directory%/}-ranking.csv"
