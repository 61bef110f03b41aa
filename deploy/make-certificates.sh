#!/usr/bin/env bash
# A private certificate authority and what it certifies. Usage: make-certificates.sh DIR BROKER
# NAME...
#   DIR     where the files go; what is there already stays, so that devices can be added later
#   BROKER  the broker's names and addresses as its clients use them, with commas:
#           mqtt.home.example,192.168.1.10
#   NAME    devices and readers; it becomes the common name, by which the broker knows who is who
# Makes DIR/ca.pem and ca.key (keep the key off the broker and off the devices), broker.pem and
# broker.key, NAME.pem and NAME.key.
# From the environment: DAYS, how long certificates of brokers and devices are valid (3650).
set -euo pipefail

usage='usage: make-certificates.sh DIR BROKER NAME...'
dir=${1:?$usage}
broker=${2:?$usage}
shift 2
days=${DAYS:-3650}
# Keys are for their owner's eyes.
umask 077
mkdir -p "$dir"
cd "$dir"

new_key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

# certify NAME EXTENSION...
certify() {
    local name=$1
    shift
    if [ -f "$name.pem" ]; then
        printf '== %s.pem is there already\n' "$name" >&2
        return 0
    fi
    printf '== certifying %s\n' "$name" >&2
    openssl req "${new_key[@]}" -subj "/CN=$name" -keyout "$name.key" -out "$name.csr" 2>/dev/null
    openssl x509 -req -sha256 -days "$days" -CA ca.pem -CAkey ca.key -CAcreateserial -in "$name.csr" -out "$name.pem" \
        -extfile <(printf '%s\n' basicConstraints=CA:FALSE keyUsage=digitalSignature "$@") 2>/dev/null
    rm "$name.csr"
    chmod 644 "$name.pem"
}

for name in "$@"; do
    # It becomes a level of a topic.
    if [[ ! $name =~ ^[A-Za-z0-9_-]+$ ]] || [ "$name" = ca ] || [ "$name" = broker ]; then
        echo "make-certificates.sh: $name is no name for a device: letters, digits, - and _, and neither ca nor broker" >&2
        exit 2
    fi
done

if [ ! -f ca.pem ]; then
    printf '== making the authority %s/ca.pem\n' "$dir" >&2
    openssl req -x509 -sha256 -days 7300 "${new_key[@]}" -subj "/CN=Earwitness authority" -keyout ca.key -out ca.pem 2>/dev/null
    chmod 644 ca.pem
fi

names=()
IFS=, read -ra given <<<"$broker"
for name in "${given[@]}"; do
    if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then
        names+=("IP:$name")
    else
        names+=("DNS:$name")
    fi
done
certify broker extendedKeyUsage=serverAuth "subjectAltName=$(IFS=,; echo "${names[*]}")"
for name in "$@"; do
    certify "$name" extendedKeyUsage=clientAuth
done
