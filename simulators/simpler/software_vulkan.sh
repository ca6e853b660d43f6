#!/bin/sh
# Mesa 25 with its software Vulkan driver (lavapipe), unpacked into a folder: nothing of the system changes.
# SAPIEN refuses the lavapipe of Debian 12 (Mesa 22); this takes the one from bookworm-backports.
#
#   sh software_vulkan.sh FOLDER
#   export VK_ICD_FILENAMES=FOLDER/lvp_icd.json
#
# On Debian 13, Ubuntu 25.04 and later: apt-get install mesa-vulkan-drivers, and no script.
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
release=bookworm-backports
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' | head -n 1)
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" > "$folder/apt/sources.list"
apt() {
    apt-get -qq -o APT::Sandbox::User=root -o Dir::Etc::sourcelist="$folder/apt/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$folder/apt/lists" -o Dir::Cache="$folder/apt/cache" "$@"
}
apt update
(cd "$folder" && apt download mesa-vulkan-drivers && dpkg -x mesa-vulkan-drivers_*.deb mesa)
driver=$folder/mesa/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu)/libvulkan_lvp.so
if ldd "$driver" | grep 'not found'; then
    echo "these libraries are missing: apt-get install libllvm15 libwayland-client0 libx11-xcb1 libxcb-dri3-0" >&2
    exit 1
fi
sed "s#\"library_path\": *\"[^\"]*\"#\"library_path\": \"$driver\"#" "$folder"/mesa/usr/share/vulkan/icd.d/lvp_icd*.json \
    > "$folder/lvp_icd.json"
echo "export VK_ICD_FILENAMES=$folder/lvp_icd.json"
