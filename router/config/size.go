package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseMemory reads an amount of memory in bytes: a number with an optional
// unit k, m, g, t or p, all powers of 1024 and all also as Ki or KiB, in upper
// or lower case: "512m", "64Gi", "1.5GiB". Command lines read theirs with it.
func ParseMemory(s string) (int64, error) {
	number := strings.TrimRightFunc(strings.TrimSpace(s), func(r rune) bool { return r > '9' || r == ' ' })
	unit := strings.ToLower(strings.TrimSpace(strings.TrimSpace(s)[len(number):]))
	factor := 1.0
	if unit != "" && unit != "b" {
		i := strings.IndexByte("kmgtp", unit[0])
		rest := unit[1:]
		if i < 0 || rest != "" && rest != "b" && rest != "i" && rest != "ib" {
			return 0, fmt.Errorf("%q is not an amount of memory: write bytes, or a number with a unit, as in \"512MiB\" or \"64Gi\"", s)
		}
		factor = math.Pow(1024, float64(i+1))
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) || n < 0 {
		return 0, fmt.Errorf("%q is not an amount of memory: write bytes, or a number with a unit, as in \"512MiB\" or \"64Gi\"", s)
	}
	if n*factor >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is more memory than can be counted", s)
	}
	return int64(n * factor), nil
}

// ParseCPU reads a number of cores: "1.5", or "500m" for thousandths.
func ParseCPU(s string) (float64, error) {
	number, milli := strings.CutSuffix(strings.TrimSpace(s), "m")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || n < 0 {
		return 0, fmt.Errorf("%q is not a number of cores: write one as in \"1.5\", or thousandths as in \"500m\"", s)
	}
	if milli {
		n /= 1000
	}
	return n, nil
}
