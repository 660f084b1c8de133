package kube

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const stampA, stampB = "2026-11-23T10:00:00.000000001Z ", "2026-11-23T11:00:00.500000000+01:00 "

// collect reads a log to its end, a line each, its time's nanoseconds first.
func collect(in io.Reader) (out []string, err error) {
	l := newLines(in)
	for {
		p, err := l.next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if p.begins {
			out = append(out, "")
			if p.at == unstamped {
				out[len(out)-1] = "?"
			}
		}
		out[len(out)-1] += string(p.data)
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 3*lineBuffer)
	for name, c := range map[string]struct {
		in   string
		want []string
		err  string
	}{
		"nothing":                       {"", nil, ""},
		"two lines":                     {stampA + "one\n" + stampB + "two\n", []string{"one\n", "two\n"}, ""},
		"an empty line":                 {stampA + "\n" + stampA + "x\n", []string{"\n", "x\n"}, ""},
		"a last line without newline":   {stampA + "one\n" + stampB + "two", []string{"one\n", "two"}, ""},
		"a line that looks like two":    {stampA + stampB + "x\n", []string{stampB + "x\n"}, ""},
		"bytes that are no text":        {stampA + "\x00\xff \r\n", []string{"\x00\xff \r\n"}, ""},
		"a line longer than any buffer": {stampA + long + "\n" + stampB + "y\n", []string{long + "\n", "y\n"}, ""},
		"the rest of an older line":     {"rest\n" + stampA + "one\n", []string{"?rest\n", "one\n"}, ""},
		"what the kubelet says":         {"unable to retrieve container logs for containerd://1", nil, "unable to retrieve"},
		"what the kubelet says later":   {stampA + "one\n" + "rpc error: code = 2\n", []string{"one\n"}, "rpc error: code = 2"},
		"cut within a time":             {stampA + "one\n" + "2026-11-2", []string{"one\n"}, "unexpected EOF"},
		"cut behind a time":             {stampA + "one\n" + stampB, []string{"one\n"}, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			slow := iotest.OneByteReader
			if len(c.in) > lineBuffer {
				slow = iotest.HalfReader
			}
			for how, in := range map[string]io.Reader{"at once": strings.NewReader(c.in), "bit by bit": slow(strings.NewReader(c.in))} {
				got, err := collect(in)
				if strings.Join(got, "|") != strings.Join(c.want, "|") {
					t.Errorf("%s: got %.200q, want %.200q", how, got, c.want)
				}
				if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("%s: error %v, want %q", how, err, c.err)
				}
			}
		})
	}
}
