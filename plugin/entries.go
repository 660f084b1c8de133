package plugin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
)

// entriesBuffer is more than go-plugin takes for one entry of a log, which is
// 64 KiB: what is longer is no entry.
const entriesBuffer = 128 << 10

// entries is a plugin's stderr as go-plugin may read it. It takes for granted
// that an entry's message, level and time are strings, and panics where they
// are not (log_entry.go): such a line goes through as plain text.
type entries struct {
	io.ReadCloser
	lines *bufio.Reader
	rest  []byte
	long  bool // rest does not end a line
}

func newEntries(r io.ReadCloser) *entries {
	return &entries{ReadCloser: r, lines: bufio.NewReaderSize(r, entriesBuffer)}
}

// Read implements io.Reader.
func (e *entries) Read(b []byte) (int, error) {
	if len(e.rest) == 0 {
		line, err := e.lines.ReadSlice('\n')
		if len(line) == 0 {
			return 0, err
		}
		if !e.long && breaksGoPlugin(line) {
			line = append([]byte("[DEBUG] "), line...)
		}
		e.rest, e.long = line, err == bufio.ErrBufferFull
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func breaksGoPlugin(line []byte) bool {
	if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) {
		return false
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(line, &object) != nil {
		return false // for go-plugin, too, it is plain text then
	}
	for _, name := range []string{"@message", "@level", "@timestamp"} {
		if value, ok := object[name]; ok && !bytes.HasPrefix(value, []byte(`"`)) {
			return true
		}
	}
	return false
}
