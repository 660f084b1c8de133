package config

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/text/width"
)

// source is the text that ranges point into.
type source struct {
	name string
	text []byte
	// hidden are the ranges of sensitive values, which are never shown.
	hidden []hcl.Range
}

// hiding is s with more of it hidden.
func (s *source) hiding(ranges []hcl.Range) *source {
	if len(ranges) == 0 {
		return s
	}
	hidden := append(slices.Clone(s.hidden), ranges...)
	slices.SortFunc(hidden, func(a, b hcl.Range) int { return cmp.Compare(a.Start.Byte, b.Start.Byte) })
	return &source{name: s.name, text: s.text, hidden: hidden}
}

// start is the range of a mistake that is about the file as a whole.
func (s *source) start() hcl.Range {
	return hcl.Range{Filename: s.name, Start: hcl.InitialPos, End: hcl.InitialPos}
}

const (
	tabWidth = 4
	// maxWidth is how much of a long line is shown.
	maxWidth = 110
	// hiddenText stands for a sensitive value.
	hiddenText = "(not shown)"
)

// maxLines is how many lines of a range are shown.
const maxLines = 4

// excerpt is a line as it is shown, and the columns of it that a range covers,
// counted from 0 in cells of a terminal.
type excerpt struct {
	number   int
	line     string
	from, to int
}

// excerpts are the first lines of a range.
func (s *source) excerpts(r hcl.Range) []excerpt {
	if s == nil || len(s.text) == 0 || r.Start.Byte < 0 || r.Start.Byte > len(s.text) {
		return nil
	}
	var list []excerpt
	for n := range maxLines {
		list = append(list, s.excerpt(r, r.Start.Line+n))
		next := bytes.IndexByte(s.text[r.Start.Byte:], '\n') + 1
		if next == 0 || r.Start.Byte+next >= r.End.Byte {
			break
		}
		// The rest of the range goes on at what is not blank.
		r.Start.Byte += next
		for r.Start.Byte < r.End.Byte && (s.text[r.Start.Byte] == ' ' || s.text[r.Start.Byte] == '\t') {
			r.Start.Byte++
		}
		if s.hiddenAt(r.Start.Byte) > r.Start.Byte {
			break
		}
	}
	return list
}

// excerpt is the line in which r starts.
func (s *source) excerpt(r hcl.Range, number int) excerpt {
	begin := bytes.LastIndexByte(s.text[:r.Start.Byte], '\n') + 1
	end := len(s.text)
	if i := bytes.IndexByte(s.text[r.Start.Byte:], '\n'); i >= 0 {
		end = r.Start.Byte + i
	}
	last := end
	if r.End.Byte < last {
		last = r.End.Byte
	}
	var b strings.Builder
	column := 0
	from, to := -1, -1
	for i := begin; i < end; {
		if from < 0 && i >= r.Start.Byte {
			from = column
		}
		if to < 0 && i >= last {
			to = column
		}
		if stop := s.hiddenAt(i); stop > i {
			if from < 0 && r.Start.Byte < stop {
				from = column
			}
			b.WriteString(hiddenText)
			column += len(hiddenText)
			if to < 0 && last <= stop {
				to = column
			}
			i = min(stop, end)
			continue
		}
		c, size := utf8.DecodeRune(s.text[i:end])
		text, cells := cell(c, size, column)
		b.WriteString(text)
		column += cells
		i += size
	}
	if from < 0 {
		from = column
	}
	line := strings.TrimRight(b.String(), " ")
	if to < 0 {
		to = textWidth(line)
	}
	e := excerpt{number, line, from, max(to, from+1)}
	return e.crop()
}

// hiddenAt is where the hidden range around byte i ends, or i.
func (s *source) hiddenAt(i int) int {
	for _, h := range s.hidden {
		if h.Start.Byte <= i && i < h.End.Byte {
			return h.End.Byte
		}
	}
	return i
}

// cell is how a character is shown and how many cells it takes. What could
// upset a terminal is shown as a dot.
func cell(c rune, size, column int) (string, int) {
	switch {
	case c == '\t':
		n := tabWidth - column%tabWidth
		return strings.Repeat(" ", n), n
	case c == '\r' || c == '\ufeff':
		return "", 0
	case c == utf8.RuneError && size <= 1, unicode.IsControl(c), unicode.In(c, unicode.Cf) && c != '\u200d':
		return "·", 1
	}
	return string(c), runeWidth(c)
}

func runeWidth(c rune) int {
	if unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	if k := width.LookupRune(c).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
		return 2
	}
	return 1
}

func textWidth(s string) int {
	n := 0
	for _, c := range s {
		n += runeWidth(c)
	}
	return n
}

// crop leaves of a long line what is around the columns in question.
func (e excerpt) crop() excerpt {
	if textWidth(e.line) <= maxWidth {
		return e
	}
	left := max(0, e.from-maxWidth/3)
	var b strings.Builder
	shift := 0
	if left > 0 {
		b.WriteString("…")
		shift = 1
	}
	column, begin, used := 0, -1, 0
	for _, c := range e.line {
		w := runeWidth(c)
		if column >= left {
			if begin < 0 {
				begin = column
			}
			if used+w > maxWidth {
				b.WriteString("…")
				break
			}
			b.WriteRune(c)
			used += w
		}
		column += w
	}
	from, to := e.from-begin+shift, e.to-begin+shift
	return excerpt{e.number, b.String(), from, min(to, shift+used+1)}
}
