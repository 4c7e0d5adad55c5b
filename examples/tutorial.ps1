# Stores, retrieves, searches and deletes the tutorial's study with the curl.exe of Windows, in PowerShell 5.1 or 7:
#   powershell -ExecutionPolicy Bypass -File examples\tutorial.ps1 FOLDER
# The folder holds blue-circle.dcm, green-square.dcm and red-triangle.dcm: Microsoft's, or those that
# "python -m local.sample_instances FOLDER" writes. DICOMWEB_URL is the service's URL, by default that of "make run";
# DICOMWEB_TOKEN is a bearer token, if it requires one.
#
# "curl" alone is another command in PowerShell 5.1, and 5.1 removes double quotes from what it passes to programs: so
# this uses curl.exe, and type=application/dicom without quotes.
param([Parameter(Mandatory)][string]$Files)

$Url = if ($env:DICOMWEB_URL) { $env:DICOMWEB_URL } else { 'http://localhost:7071/v2' }
$Study = '1.2.826.0.1.3680043.8.498.13230779778012324449356534479549187420'
$Series = '1.2.826.0.1.3680043.8.498.45787841905473114233124723359129632652'
$Instance = '1.2.826.0.1.3680043.8.498.47359123102728459884412887463296905395'
$Out = "$env:TEMP/dicomweb-tutorial"
New-Item -ItemType Directory -Force -Path $Out | Out-Null

# Options for every curl. In a file, others on the machine cannot see the token, as they could on a command line.
Set-Content -Encoding ascii -Path "$Out/options" -Value 'silent', 'show-error', 'fail-with-body'
Add-Content -Encoding ascii -Path "$Out/options" -Value 'write-out = "\n%{response_code} %{url_effective}\n"'
if ($env:DICOMWEB_TOKEN) {
    Add-Content -Encoding ascii -Path "$Out/options" -Value "oauth2-bearer = $env:DICOMWEB_TOKEN"
}

# The tutorial deletes the study at its end, so it must not be one that somebody needs.
$Found = curl.exe -K "$Out/options" -o "$Out/found.json" -w '%{response_code}' "$Url/studies?StudyInstanceUID=$Study"
if ($Found -ne '204') {
    Remove-Item -Path "$Out/options"
    throw "The study is already there, or the search failed ($Found): $Url/studies/$Study"
}

# Store: as multipart, into a study, and one file alone
curl.exe -K "$Out/options" -H 'Content-Type: multipart/related; type=application/dicom' -F "file=@$Files/blue-circle.dcm;type=application/dicom" "$Url/studies"
curl.exe -K "$Out/options" -H 'Content-Type: multipart/related; type=application/dicom' -F "file=@$Files/green-square.dcm;type=application/dicom" "$Url/studies/$Study"
curl.exe -K "$Out/options" -H 'Content-Type: application/dicom' --data-binary "@$Files/red-triangle.dcm" "$Url/studies"

# Retrieve: files as they are stored; many of them come as multipart, or as a ZIP archive
curl.exe -K "$Out/options" -H 'Accept: multipart/related; type=application/dicom; transfer-syntax=*' -o "$Out/study.multipart" "$Url/studies/$Study"
curl.exe -K "$Out/options" -H 'Accept: application/zip; transfer-syntax=*' -o "$Out/series.zip" "$Url/studies/$Study/series/$Series"
curl.exe -K "$Out/options" -H 'Accept: application/dicom; transfer-syntax=*' -o "$Out/instance.dcm" "$Url/studies/$Study/series/$Series/instances/$Instance"

# Retrieve: everything but the pixels
curl.exe -K "$Out/options" -H 'Accept: application/dicom+json' -o "$Out/study.json" "$Url/studies/$Study/metadata"
curl.exe -K "$Out/options" -H 'Accept: application/dicom+json' -o "$Out/series.json" "$Url/studies/$Study/series/$Series/metadata"
curl.exe -K "$Out/options" -H 'Accept: application/dicom+json' -o "$Out/instance.json" "$Url/studies/$Study/series/$Series/instances/$Instance/metadata"

# Retrieve: a frame, counted from 1, and a picture
curl.exe -K "$Out/options" -H 'Accept: application/octet-stream; transfer-syntax=*' -o "$Out/frame.raw" "$Url/studies/$Study/series/$Series/instances/$Instance/frames/1"
curl.exe -K "$Out/options" -H 'Accept: image/png' -o "$Out/picture.png" "$Url/studies/$Study/series/$Series/instances/$Instance/rendered"

# Search: all keys must match; names by their words, dates also by ranges, more attributes than usual on request
curl.exe -K "$Out/options" "$Url/studies?PatientName=anony*&StudyDate=20200101-20201231&ModalitiesInStudy=OT&includefield=StudyDescription&limit=10"
curl.exe -K "$Out/options" "$Url/series?SeriesInstanceUID=$Series"
curl.exe -K "$Out/options" "$Url/studies/$Study/series?Modality=OT"
curl.exe -K "$Out/options" "$Url/instances?SOPInstanceUID=$Instance"
curl.exe -K "$Out/options" "$Url/studies/$Study/instances?SOPInstanceUID=$Instance"
curl.exe -K "$Out/options" "$Url/studies/$Study/series/$Series/instances?InstanceNumber=1"

# Delete: an instance, what is left of its series, what is left of the study
curl.exe -K "$Out/options" -X DELETE "$Url/studies/$Study/series/$Series/instances/$Instance"
curl.exe -K "$Out/options" -X DELETE "$Url/studies/$Study/series/$Series"
curl.exe -K "$Out/options" -X DELETE "$Url/studies/$Study"

Remove-Item -Path "$Out/options"
Write-Output "What was retrieved is in $Out"
