// Package plain makes text that came from elsewhere fit for a terminal.
package plain

import "strings"

// Line is s on one line, without what a terminal would act on.
func Line(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}

// Text is Line for text of several lines.
func Text(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Line(line)
	}
	return strings.Join(lines, "\n")
}
