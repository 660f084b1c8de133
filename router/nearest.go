package router

import "strings"

// Nearest returns the name that someone who wrote name is likely to have
// meant, and "" where none is near. It is for "did you mean".
func Nearest(name string, names []string) string {
	// A third of the name may be wrong, and one character of a short one.
	best, most := "", min(3, max(1, len(name)/3))
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n)); d <= most && d < len(name) && d < len(n) {
			best, most = n, d-1
		}
	}
	return best
}

// distance counts the characters to insert, delete, change, or exchange with
// their neighbour, to make b of a
// (https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance, the restricted
// form).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last := make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i, r := range s {
		row := make([]int, len(t)+1)
		row[0] = i + 1
		for j, u := range t {
			change := last[j]
			if r != u {
				change++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, change)
			if i > 0 && j > 0 && r == t[j-1] && s[i-1] == u {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(t)]
}
