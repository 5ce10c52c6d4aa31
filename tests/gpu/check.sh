#!/bin/sh
# Every check that needs a GPU, each under a time limit of its own, so that one that hangs costs only itself:
#   tests/gpu/check.sh OUTPUT [STEP...]        PYTHON names the interpreter, DATA the labelled sets
# A step's results and its log come into the folder OUTPUT. The last lines say which step failed; then it ends with 1.
set -u
output=$1
shift
steps=${*:-"machine tests experts guard evaluate stream e2e guard-7b"}
python=${PYTHON:-python3}
data=${DATA:-../shared/datasets/dev}
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$output"
output=$(cd "$output" && pwd)
cd "$root" || exit 2
export PYTHONPATH="$root/tests:$root${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

run() {
    case $1 in
    machine)
        limit 60 sh -c "nvidia-smi; nvidia-smi -q | grep -E 'Product Name|Driver Version|CUDA Version'; nproc; grep -m1 'model name' /proc/cpuinfo; $python -m pip list 2>/dev/null" ;;
    tests) limit 240 "$python" -m pytest tests/gpu -q --durations=8 -p no:cacheprovider ;;
    experts) limit 300 "$python" -m benchmarks.gpu --output "$output/gpu-experts" ;;
    guard) limit 90 "$python" -m benchmarks.guard --precision fp16 --device cuda --output "$output/gpu-guard" ;;
    evaluate)
        for device in cpu cuda; do
            limit 120 "$python" -m stream evaluate "$data/aegis2_validation" "$data/hatecheck" --device $device \
                --shuffle 0 --resamples 2 --json "$output/gpu-evaluate-$device.json" || return
        done ;;
    stream)
        limit 240 "$python" -m benchmarks.run --turns 400000 --rounds 2 --only fleet-1 --only fleet-2 --only fleet-4 \
            --output "$output/gpu-stream" ;;
    e2e) limit 240 "$python" -m benchmarks.e2e.run --device cuda --texts 10000 --seconds 10 --output "$output/gpu-e2e" ;;
    guard-7b)
        limit 400 "$python" -m benchmarks.guard --shape 7b --precision fp16 --device cuda --turns 512 \
            --output "$output/gpu-guard-7b" ;;
    *) echo "there is no step $1" >&2 && false ;;
    esac
}

limit() {
    seconds=$1
    shift
    timeout -k 10 "$seconds" "$@"
}

failed=
for step in $steps; do
    began=$(date +%s)
    run "$step" >"$output/$step.log" 2>&1 || failed="$failed $step"
    echo "== $step: $(($(date +%s) - began)) s"
    tail -n 40 "$output/$step.log"
done
echo "== failed:${failed:- none}"
test -z "$failed"
