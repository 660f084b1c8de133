package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVigil(t *testing.T) {
	gone := errors.New("it is gone")
	for name, test := range map[string]struct {
		answers  []error // the last one for ever
		patience time.Duration
		want     error
		said     []string
	}{
		"well":        {answers: []error{nil, nil, nil}, patience: time.Hour},
		"comes back":  {answers: []error{nil, gone, gone, nil, nil}, patience: time.Hour, said: []string{"it is gone; waiting up to 1h0m0s for it", "It answers again."}},
		"stays away":  {answers: []error{gone}, patience: time.Millisecond, want: gone, said: []string{"it is gone; waiting up to 1ms for it"}},
		"may not ask": {answers: []error{errMayNotAsk, gone}, patience: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var said []string
			asked := 0
			err := vigil{
				every: time.Millisecond, patience: test.patience,
				say: func(s string) { said = append(said, s) },
				ask: func(context.Context) error {
					asked++
					if asked == len(test.answers) && test.want == nil {
						cancel()
					}
					return test.answers[min(asked, len(test.answers))-1]
				},
			}.keep(ctx)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if diff := cmp.Diff(test.said, said); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
