#!/bin/sh
# Runs real jobs through the router with examples/config.hcl: as processes of
# this machine, in containers where a Docker engine answers, and as pods where a
# Kubernetes does. `make demo` builds what it needs and calls it. It leaves
# nothing behind.
set -u
cd "$(dirname "$0")/.." || exit 1

scratch=$(mktemp -d)
XDG_STATE_HOME=$scratch # where the process engine keeps its atoms
ATOM_ROUTER_CONFIG=examples/config.hcl
export XDG_STATE_HOME ATOM_ROUTER_CONFIG
image=
failed=0

clean() {
	trap - EXIT INT TERM
	bin/atom-router list -o id --backend process 2>/dev/null | xargs -r bin/atom-router delete --force >/dev/null
	if [ -n "$image" ]; then
		go run ./examples/demo-image remove >/dev/null
	fi
	rm -rf "$scratch"
}
trap clean EXIT
trap 'clean; exit 130' INT TERM

# show prints a command as one would type it.
show() {
	printf '\n$ atom-router'
	for word; do
		case $word in
		*[!A-Za-z0-9_=/.:,@-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	printf '\n'
}

# expect CODE VERB ARG… runs atom-router, shows what it does and checks its exit
# code.
expect() {
	want=$1
	shift
	show "$@"
	bin/atom-router "$@" 2>&1
	code=$?
	echo "(exit code $code)"
	if [ "$code" -ne "$want" ]; then
		echo "demo: that should have been $want" >&2
		failed=1
	fi
}

# job CODE ARG… says where a job goes and by which rule, and runs it.
job() {
	want=$1
	shift
	printf '\n# '
	bin/atom-router explain "$@" | head -n 1
	expect "$want" run "$@"
}

echo '== Jobs as processes of this machine'
job 0 none -- sh -c 'echo "hello from process $$ on $(uname -s)"'
job 3 -l engine=process -e NAME=demo none -- sh -c 'echo "to stdout: $NAME"; echo "to stderr" >&2; exit 3'
job 127 none -- no-such-program

echo
echo '== A job refused by a rule'
job 3 -v /var/run/docker.sock:/var/run/docker.sock alpine:3 -- true
echo
echo '== Why: each rule, and what it said'
expect 3 explain -v /var/run/docker.sock:/var/run/docker.sock alpine:3 -- true

echo
echo '== A job found again by its ID alone'
show create --name nightly none -- sh -c 'sleep 1; echo done'
id=$(bin/atom-router create --name nightly none -- sh -c 'sleep 1; echo done')
echo "$id"
expect 0 wait "$id"
expect 0 logs "$id"
expect 0 get "$id"
expect 0 delete "$id"

echo
echo '== Jobs in containers'
DOCKER_HOST=${DOCKER_HOST:-unix:///var/run/docker.sock}
export DOCKER_HOST
anywhere=process
if ! bin/atom-router backends docker >/dev/null 2>&1; then
	echo "No Docker engine answers at $DOCKER_HOST, so no job runs in a container here;"
	echo 'with one, or after `make testenv` and `. .testenv/env`, some do.'
elif ! image=$(go run ./examples/demo-image); then
	image=
	echo "The Docker engine at $DOCKER_HOST could not be given an image, so no job runs in a container."
else
	anywhere=docker
	job 0 -l engine=docker "$image" -- print hello from a container
	job 7 --memory 64m --user worker "$image" -- print limited to 64 MiB ';' eprint and to stderr ';' exit 7
	job 137 --memory 16m "$image" -- allocate 64
	job 127 -l engine=docker --entrypoint no-such-program "$image"
fi

echo
echo '== Jobs as pods'
if ! bin/atom-router backends kube >/dev/null 2>&1; then
	echo 'No Kubernetes takes pods from you, so no job runs there; with one in your'
	echo 'kubeconfig, or after `make testenv` and `. .testenv/env`, some do.'
	expect 1 backends kube
elif [ -n "${ATOM_TEST_IMAGE:-}" ]; then
	# The node of `make testenv` has this image, and no way to a registry.
	[ "$anywhere" = docker ] || anywhere=kube
	job 0 -l engine=kube "$ATOM_TEST_IMAGE" -- print hello from a pod
	job 9 -l engine=kube --memory 64m "$ATOM_TEST_IMAGE" -- print limited to 64 MiB ';' exit 9
	job 127 -l engine=kube --entrypoint no-such-program "$ATOM_TEST_IMAGE"
else
	[ "$anywhere" = docker ] || anywhere=kube
	job 0 -l engine=kube busybox:1.37 -- sh -c 'echo "hello from pod $(hostname)"'
	job 9 -l engine=kube --memory 64m busybox:1.37 -- sh -c 'echo limited to 64 MiB; exit 9'
	job 127 -l engine=kube --entrypoint no-such-program busybox:1.37
fi

echo
echo '== A job that may run anywhere: Docker first, then Kubernetes, then a process'
case $anywhere in
docker) job 0 -l anywhere=yes "$image" -- print a container ;;
kube) job 0 -l anywhere=yes "${ATOM_TEST_IMAGE:-busybox:1.37}" ;;
process) job 0 -l anywhere=yes none -- echo 'a process' ;;
esac

echo
clean
if [ "$failed" -ne 0 ]; then
	echo 'demo: not all went as it should' >&2
	exit 1
fi
echo 'Done; nothing is left behind.'
