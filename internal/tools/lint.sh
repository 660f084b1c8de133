#!/bin/sh
# lint.sh TOOLS PROTO…: every check that needs no engine. All of them run, and
# any that fails makes the whole fail.
set -u
tools=$1
shift
failed=0
fail() { echo "lint: $1"; failed=1; }

unformatted=$(gofmt -l $(git ls-files --cached --others --exclude-standard '*.go' | while read -r f; do [ -f "$f" ] && echo "$f"; done))
[ -z "$unformatted" ] || fail "not gofmt'ed: $unformatted"

go vet ./... || fail "go vet"
# What schedulers and authors import must build elsewhere, too.
GOOS=darwin go vet ./atom/... ./plugin ./router/... ./plugins/... ./cmd/... || fail "go vet for darwin"
"$tools/staticcheck" ./... || fail "staticcheck"
go mod tidy -diff >/dev/null || fail "go.mod is not tidy: run go mod tidy"
for module in internal/tools examples/plugin-go; do
	(cd $module && go vet ./... && go mod tidy -diff >/dev/null) || fail "$module: run go mod tidy there"
done
(cd examples/plugin-go && "$tools/staticcheck" ./...) || fail "staticcheck of examples/plugin-go"

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
for proto in "$@"; do
	"$tools/protogen" -bin "$tools" -root plugin/proto -out "$fresh" "$proto" || fail "generating $proto"
	for f in "$fresh/${proto%/*}"/*.go; do
		cmp -s "$f" "plugin/proto/${proto%/*}/${f##*/}" || fail "${f##*/} is not what $proto generates: run make generate"
	done
done
exit $failed
