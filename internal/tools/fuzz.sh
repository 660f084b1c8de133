#!/bin/sh
# fuzz.sh TIME [guided]: runs every fuzz test for that long, or with so many
# inputs (5000x). A time that ends while the machine is busy can fail a test with
# nothing but "context deadline exceeded" (golang/go#75804), which a number of
# inputs cannot. Without "guided"
# the binaries are those of the other tests, built without instrumentation: a
# short look from the kept corpora on. With it they look for new paths, and what
# they find is in $(go env GOCACHE)/fuzz, to be kept in testdata/fuzz.
set -u
time=$1 guided=${2:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for file in $(git grep -l '^func Fuzz' -- '*_test.go'); do
	dir=./$(dirname "$file")
	binary=$work/$(echo "$dir" | tr / _).test
	if [ -z "$guided" ] && [ ! -e "$binary" ]; then
		go test -race -c -o "$binary" "$dir" || exit 1
	fi
	for name in $(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$file"); do
		if [ -n "$guided" ]; then
			out=$(go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$dir" 2>&1)
		else
			out=$(cd "$dir" && "$binary" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "$time" -test.fuzzcachedir "$work/cache" 2>&1)
		fi
		if [ $? -ne 0 ]; then
			failed=1
			echo "$out"
		fi
		echo "$dir $name: $(echo "$out" | grep -o 'execs: [0-9]*' | tail -1)"
	done
done
exit $failed
