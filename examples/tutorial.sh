#!/usr/bin/env bash
# Stores, retrieves, searches and deletes the tutorial's study with curl (7.76 or newer): bash examples/tutorial.sh FOLDER
# The folder holds blue-circle.dcm, green-square.dcm and red-triangle.dcm: Microsoft's, or those that
# `python -m local.sample_instances FOLDER` writes. DICOMWEB_URL is the service's URL, by default that of `make run`;
# DICOMWEB_TOKEN is a bearer token, if it requires one.
set -euo pipefail

files=${1:?Name the folder with the three files.}
url=${DICOMWEB_URL:-http://localhost:7071/v2}
study=1.2.826.0.1.3680043.8.498.13230779778012324449356534479549187420
series=1.2.826.0.1.3680043.8.498.45787841905473114233124723359129632652
instance=1.2.826.0.1.3680043.8.498.47359123102728459884412887463296905395
out=$(mktemp -d)

# Options for every curl. In a file, others on the machine cannot see the token, as they could on a command line.
trap 'rm -f "$out/options"' EXIT
cat >"$out/options" <<'END'
silent
show-error
fail-with-body
write-out = "\n%{response_code} %{url_effective}\n"
END
if [ -n "${DICOMWEB_TOKEN:-}" ]; then
    echo "oauth2-bearer = $DICOMWEB_TOKEN" >>"$out/options"
fi

# The tutorial deletes the study at its end, so it must not be one that somebody needs.
found=$(curl -K "$out/options" -o "$out/found.json" -w '%{response_code}' "$url/studies?StudyInstanceUID=$study") || true
if [ "$found" != 204 ]; then
    echo "The study is already there, or the search failed ($found): $url/studies/$study" >&2
    exit 1
fi

# Store: as multipart, into a study, and one file alone
curl -K "$out/options" -H 'Content-Type: multipart/related; type=application/dicom' -F "file=@$files/blue-circle.dcm;type=application/dicom" "$url/studies"
curl -K "$out/options" -H 'Content-Type: multipart/related; type=application/dicom' -F "file=@$files/green-square.dcm;type=application/dicom" "$url/studies/$study"
curl -K "$out/options" -H 'Content-Type: application/dicom' --data-binary "@$files/red-triangle.dcm" "$url/studies"

# Retrieve: files as they are stored; many of them come as multipart, or as a ZIP archive
curl -K "$out/options" -H 'Accept: multipart/related; type=application/dicom; transfer-syntax=*' -o "$out/study.multipart" "$url/studies/$study"
curl -K "$out/options" -H 'Accept: application/zip; transfer-syntax=*' -o "$out/series.zip" "$url/studies/$study/series/$series"
curl -K "$out/options" -H 'Accept: application/dicom; transfer-syntax=*' -o "$out/instance.dcm" "$url/studies/$study/series/$series/instances/$instance"

# Retrieve: everything but the pixels
curl -K "$out/options" -H 'Accept: application/dicom+json' -o "$out/study.json" "$url/studies/$study/metadata"
curl -K "$out/options" -H 'Accept: application/dicom+json' -o "$out/series.json" "$url/studies/$study/series/$series/metadata"
curl -K "$out/options" -H 'Accept: application/dicom+json' -o "$out/instance.json" "$url/studies/$study/series/$series/instances/$instance/metadata"

# Retrieve: a frame, counted from 1, and a picture
curl -K "$out/options" -H 'Accept: application/octet-stream; transfer-syntax=*' -o "$out/frame.raw" "$url/studies/$study/series/$series/instances/$instance/frames/1"
curl -K "$out/options" -H 'Accept: image/png' -o "$out/picture.png" "$url/studies/$study/series/$series/instances/$instance/rendered"

# Search: all keys must match; names by their words, dates also by ranges, more attributes on request
curl -K "$out/options" "$url/studies?PatientName=anony*&StudyDate=20200101-20201231&ModalitiesInStudy=OT&includefield=StudyDescription&limit=10"
curl -K "$out/options" "$url/series?SeriesInstanceUID=$series"
curl -K "$out/options" "$url/studies/$study/series?Modality=OT"
curl -K "$out/options" "$url/instances?SOPInstanceUID=$instance"
curl -K "$out/options" "$url/studies/$study/instances?SOPInstanceUID=$instance"
curl -K "$out/options" "$url/studies/$study/series/$series/instances?InstanceNumber=1"

# Delete: an instance, what is left of its series, what is left of the study
curl -K "$out/options" -X DELETE "$url/studies/$study/series/$series/instances/$instance"
curl -K "$out/options" -X DELETE "$url/studies/$study/series/$series"
curl -K "$out/options" -X DELETE "$url/studies/$study"

echo "What was retrieved is in $out"
