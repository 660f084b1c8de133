package daemon

import (
	"syscall"
	"testing"
	"time"

	"github.com/atom-router/atom-router/internal/load"
)

// Under clients that never rest the daemon is restarted, the one way and the
// other, and each job runs once, tells what it has to, and is gone.
func TestNothingIsLost(t *testing.T) {
	s := newSite(t)
	config := s.config(s.listen())
	d := s.child(config)
	var clients []load.Engine
	for range 20 {
		clients = append(clients, s.dial(s.endpoint()))
	}
	all := load.New(s.dir, clients)
	type end struct {
		report load.Report
		err    error
	}
	ended := make(chan end, 1)
	go func() { // ends with the last job
		r, err := all.Run(within(t), 3*time.Second)
		ended <- end{r, err}
	}()
	for _, how := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		time.Sleep(time.Second) // of load, whatever comes of it
		d.end(how)
		d = s.child(config)
	}
	e := <-ended
	if e.err != nil {
		t.Error(e.err)
	}
	if err := all.Check(within(t)); err != nil {
		t.Error(err)
	}
	t.Logf("%d jobs, %.0f a second, p50 %v, p99 %v, asked again %d times", len(e.report.Jobs), e.report.Rate(), e.report.Quantile(0.5), e.report.Quantile(0.99), e.report.Again)
}
