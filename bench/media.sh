#!/usr/bin/env bash
# Makes the H.264 files of the decoding benchmark and prints their paths, one per line.
#
#   cam720.mp4    1280x720, 25 fps, a keyframe every 50 frames, no B-frames, 2.5 Mbit/s: as a camera sends
#   arch1080.mp4  1920x1080, 25 fps, x264's defaults (crf 23, GOP 250, B-frames): as an archive holds
#
# Both re-encode vtest.avi, a real surveillance camera (795 frames), from Debian's opencv-doc.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/onward/bench-media
data=/usr/share/doc/opencv-doc/examples/data
mkdir -p "$cache"

if ! command -v ffmpeg >/dev/null || ! compgen -G "$data/vtest.avi*" >/dev/null; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends ffmpeg opencv-doc >&2
fi

source=$data/vtest.avi
if [ ! -e "$source" ]; then # some builds of the package compress their examples
    source=$cache/vtest.avi
    gunzip -c "$data/vtest.avi.gz" >"$source"
fi

# encode NAME REPEATS X264_OPTIONS...: repeats the film at 25 fps, so that a measurement takes
# seconds. The file gets its name only when it is complete.
encode() {
    local out=$cache/$1.mp4 loops=$(($2 - 1))
    shift 2
    if [ ! -s "$out" ]; then
        ffmpeg -v error -y -r 25 -stream_loop "$loops" -i "$source" -an -pix_fmt yuv420p \
            -c:v libx264 "$@" -movflags +faststart "$out.part.mp4" >&2
        mv "$out.part.mp4" "$out"
    fi
    echo "$out"
}

encode cam720 4 -vf scale=1280:720 -preset veryfast -bf 0 -g 50 -keyint_min 50 -sc_threshold 0 \
    -b:v 2500k -maxrate 2500k -bufsize 2500k
encode arch1080 2 -vf scale=1920:1080
