#!/bin/sh
# Makes the passwords that compose.yaml wants, in the folder `secrets` below this one or below the folder it is told.
# What is there is kept: a password that was changed here alone would lock the servers out.
set -eu

cd "${1:-$(dirname "$0")}"
if [ -e secrets/exeunt.toml ]; then
    echo "make-secrets.sh: secrets/exeunt.toml is there already, so nothing is changed" >&2
    exit 1
fi

random() {
    od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'
}

# The folder keeps others of this machine out. The files have to be readable by the users inside of the containers.
mkdir -p secrets
chmod 700 secrets
umask 022
postgres=$(random)
redis=$(random)
printf '%s' "$postgres" >secrets/postgres_password
printf 'requirepass %s\n' "$redis" >secrets/redis.conf
cat >secrets/exeunt.toml <<END
store = "redis://:$redis@redis:6379/"
# On a network of these containers alone, which nothing else can reach.
accounts = "postgres://exeunt:$postgres@postgres:5432/exeunt?sslmode=disable"
END
echo "made secrets/exeunt.toml, secrets/postgres_password and secrets/redis.conf"
