//go:build linux

package chaos

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// job is what is asked for, and what has to come of it.
type job struct {
	N       int      `json:"n"`
	Backend string   `json:"backend"` // a backend, or anyOf
	Program string   `json:"program"` // entrypoint, where it is not the probe
	Command []string `json:"command"`

	// Slow readers take this long over each KiB.
	Slow time.Duration `json:"slow"`
	// StopAt is the line after which the job is stopped.
	StopAt string `json:"stopAt"`
	// Twice says that the Create is sent again once the atom is there.
	Twice bool `json:"twice"`

	Output string      `json:"-"`
	Result atom.Result `json:"-"`
	Code   int         `json:"-"` // -1 is none
}

// anyOf is a rule that leads to two backends.
const anyOf = "any"

func (j *job) key() string { return fmt.Sprintf("job-%d", j.N) }

// fault is something that happens.
type fault struct {
	kind  string
	pick  uint64        // chooses among what it may befall
	after time.Duration // since the one before
}

// plan makes jobs and faults from a seed.
func plan(seed uint64, jobs, faults int) ([]job, []fault) {
	r := rand.New(rand.NewPCG(seed, 0))
	all := make([]job, jobs)
	for n := range all {
		all[n] = planJob(r, n)
	}
	// Each kind comes before any comes twice.
	var bag []string
	list := make([]fault, faults)
	for n := range list {
		if len(bag) == 0 {
			bag = faultKinds()
			if n > 0 {
				bag = weighted()
			}
			r.Shuffle(len(bag), func(i, k int) { bag[i], bag[k] = bag[k], bag[i] })
		}
		list[n] = fault{kind: bag[0], pick: r.Uint64(), after: time.Duration(r.IntN(2500)) * time.Millisecond}
		bag = bag[1:]
	}
	return all, list
}

func planJob(r *rand.Rand, n int) job {
	j := job{N: n, Backend: []string{"host", "host", "docker", "docker", "docker", "kube", "kube", anyOf}[r.IntN(8)], Result: atom.Success}
	if *onlyJobs != "" {
		j.Backend = *onlyJobs
	}
	word := fmt.Sprintf("job-%d", n)
	if r.IntN(4) == 0 {
		word = strings.Repeat(word+".", 1+r.IntN(200)) // long lines
	}
	count, interval := 1+r.IntN(120), time.Duration(r.IntN(80))*time.Millisecond
	exit := func(code int) {
		j.Command = append(j.Command, ";", "exit", strconv.Itoa(code))
		if j.Code = code; code != 0 {
			j.Result = atom.Failure
		}
	}
	j.Command = []string{"lines", strconv.Itoa(count), interval.String(), word}
	for i := range count {
		j.Output += word + " " + strconv.Itoa(i) + "\n"
	}
	switch kind := r.IntN(12); kind {
	case 0:
		j.Command = append(j.Command, ";", "raise", "KILL")
		j.Result, j.Code = atom.Killed, 137
	case 1:
		j.Program, j.Command, j.Output = "/no-such-program", []string{"x"}, ""
		j.Result, j.Code = atom.StartupFailure, -1
	case 2, 3:
		j.StopAt = "ready\n"
		j.Command = []string{"trap", "5", "stopped", ";", "print", "ready", ";", "sleep", "1h"}
		j.Output, j.Result, j.Code = "ready\nstopped\n", atom.Failure, 5
	case 4, 5:
		j.Slow = time.Duration(50+r.IntN(400)) * time.Millisecond
		exit(0)
	default:
		exit(r.IntN(3))
	}
	j.Twice = r.IntN(3) == 0
	return j
}
