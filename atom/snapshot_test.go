package atom

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestInfoOf(t *testing.T) {
	code := 3
	info := Info{
		ID: "id", Name: "n", Image: "i", Labels: map[string]string{"a": "b"}, Rule: "r", State: Stopped, Result: Failure, ExitCode: &code, Message: "m",
		CreatedAt: time.Unix(1, 2), StartedAt: time.Unix(3, 4), StoppedAt: time.Unix(5, 6),
	}
	for i := range reflect.ValueOf(info).NumField() {
		if reflect.ValueOf(info).Field(i).IsZero() {
			t.Errorf("the test leaves %s empty", reflect.TypeOf(info).Field(i).Name)
		}
	}
	a := New(info, nil)
	// Another type's atom, with the same methods, is asked by interface.
	type everything interface {
		Atom
		Namer
		Imager
		Labeler
		Ruler
		ExitCoder
		Messenger
	}
	for name, a := range map[string]Atom{"ours": a, "a wrapped one": struct{ everything }{a.(everything)}} {
		if diff := cmp.Diff(info, InfoOf(a)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	InfoOf(a).Labels["a"] = "changed"
	*InfoOf(a).ExitCode = 9
	*a.(ExitCoder).ExitCode() = 9
	a.(Labeler).Labels()["a"] = "changed"
	if got := InfoOf(a); got.Labels["a"] != "b" || *got.ExitCode != 3 {
		t.Errorf("the snapshot changed: %+v", got)
	}
}

func TestNewWithoutStateAndResult(t *testing.T) {
	a := New(Info{}, nil)
	if a.State() != Invalid || a.Result() != Unknown || a.(ExitCoder).ExitCode() != nil {
		t.Errorf("%s, %s", a.State(), a.Result())
	}
}
