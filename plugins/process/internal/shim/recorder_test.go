package shim

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestFullDisk has the recorder's disk fill up: the job goes on, and what
// close returns says that its log is not whole.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{file: full}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	rec.follow(outR, errR)
	if _, err := outW.Write(make([]byte, 1<<20)); err != nil { // more than the pipe holds
		t.Fatal(err)
	}
	outW.Close()
	errW.Close()
	rec.drain(10 * time.Second)
	size, _, err := rec.close()
	if size != 0 || err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("got %d, %v", size, err)
	}
}
