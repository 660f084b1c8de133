package router

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
)

func TestJanitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		ago := func(d time.Duration) time.Time { return now.Add(-d) }
		kept := &fake{atoms: []*atom.Info{
			{ID: "stopped", State: atom.Stopped, CreatedAt: ago(time.Hour), StartedAt: ago(time.Hour), StoppedAt: ago(time.Hour)},
		}}
		swept := &fake{atoms: []*atom.Info{
			{ID: "old", State: atom.Stopped, CreatedAt: ago(time.Hour), StartedAt: ago(time.Hour), StoppedAt: ago(50 * time.Minute)},
			{ID: "never-started", State: atom.Stopped, Result: atom.StartupFailure, CreatedAt: ago(30 * time.Minute)},
			{ID: "later", State: atom.Stopped, CreatedAt: ago(time.Hour), StartedAt: ago(time.Hour), StoppedAt: ago(30 * time.Minute)},
			{ID: "runs", State: atom.Running, CreatedAt: ago(time.Hour), StartedAt: ago(time.Hour)},
			{ID: "half-made", State: atom.Created, CreatedAt: ago(11 * time.Minute)},
			{ID: "just-made", State: atom.Created, CreatedAt: ago(time.Minute)},
		}}
		bs := backends(kept, swept)
		bs[1].Retention = 40 * time.Minute
		e, err := New(t.Context(), Config{Backends: bs, Default: Rule{Tiers: tiers("a")}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		left := func() []string {
			atoms, err := swept.List(&atom.EngineListRequest{})
			if err != nil {
				t.Fatal(err)
			}
			return ids(atoms)
		}
		for _, step := range []struct {
			after time.Duration
			want  []string
		}{
			{29 * time.Second, []string{"old", "never-started", "later", "runs", "half-made", "just-made"}},
			{time.Minute, []string{"never-started", "later", "runs", "half-made", "just-made"}},
			{9 * time.Minute, []string{"never-started", "later", "runs", "just-made"}},
			{20 * time.Minute, []string{"runs"}},
		} {
			time.Sleep(time.Until(now.Add(step.after)))
			synctest.Wait()
			if diff := cmp.Diff(step.want, left()); diff != "" {
				t.Errorf("after %v:\n%s", step.after, diff)
			}
		}
		if kept.asked("") > 0 {
			t.Errorf("a backend without retention that nobody uses was asked: %v", kept.calls)
		}
		if n := swept.asked("delete runs"); n > 0 {
			t.Error("a running atom was to be deleted")
		}
	})
}

func TestNoJanitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{atoms: []*atom.Info{{ID: "old", State: atom.Stopped, CreatedAt: time.Now()}}}
		bs := backends(f)
		bs[0].Retention = time.Minute
		e := newEngine(t, Config{Backends: bs, Default: Rule{Tiers: tiers("a")}})
		time.Sleep(time.Hour)
		if e.Close(); len(f.atoms) != 1 {
			t.Error("the atom is gone")
		}
	})
}
