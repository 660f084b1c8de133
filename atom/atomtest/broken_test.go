package atomtest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
	"github.com/atom-router/atom-router/atom/container"
)

// faulty is the engine in memory with one promise broken: a hook that is not
// nil stands in for the method.
type faulty struct {
	good   *memengine.Engine
	seen   func(*atom.Info) // changes every atom that is given out
	get    func(*faulty, *atom.EngineGetRequest) (atom.Atom, error)
	list   func(*faulty, *atom.EngineListRequest) ([]atom.Atom, error)
	stream func(*faulty, *atom.EngineListRequest, func(atom.Atom) error) error
	create func(*faulty, *atom.EngineCreateRequest) (atom.Atom, error)
	wait   func(*faulty, *atom.EngineWaitRequest) (atom.Atom, error)
	stop   func(*faulty, *atom.EngineStopRequest) error
	logs   func(*faulty, *atom.EngineLogsRequest) (io.ReadCloser, error)
	remove func(*faulty, *atom.EngineDeleteRequest) error
	lookup func(*faulty, *atom.EngineLookupRequest) (atom.Atom, error)
}

// own makes an atom one of this engine's.
func (f *faulty) own(a atom.Atom, err error) (atom.Atom, error) {
	if err != nil || a == nil {
		return nil, err
	}
	info := atom.InfoOf(a)
	if f.seen != nil {
		f.seen(&info)
	}
	return atom.New(info, f), nil
}

func (f *faulty) Get(r *atom.EngineGetRequest) (atom.Atom, error) {
	if f.get != nil {
		return f.own(f.get(f, r))
	}
	return f.own(f.good.Get(r))
}

func (f *faulty) List(r *atom.EngineListRequest) ([]atom.Atom, error) {
	list := func(_ *faulty, r *atom.EngineListRequest) ([]atom.Atom, error) { return f.good.List(r) }
	if f.list != nil {
		list = f.list
	}
	atoms, err := list(f, r)
	for i := range atoms {
		atoms[i], _ = f.own(atoms[i], nil)
	}
	return atoms, err
}

func (f *faulty) StreamList(r *atom.EngineListRequest, found func(atom.Atom) error) error {
	if f.stream != nil {
		return f.stream(f, r, found)
	}
	atoms, err := f.List(r)
	for _, a := range atoms {
		if err := found(a); err != nil {
			return err
		}
	}
	return err
}

func (f *faulty) Create(r *atom.EngineCreateRequest) (atom.Atom, error) {
	if f.create != nil {
		return f.own(f.create(f, r))
	}
	return f.own(f.good.Create(r))
}

func (f *faulty) Wait(r *atom.EngineWaitRequest) (atom.Atom, error) {
	if f.wait != nil {
		return f.own(f.wait(f, r))
	}
	return f.own(f.good.Wait(r))
}

func (f *faulty) Stop(r *atom.EngineStopRequest) error {
	if f.stop != nil {
		return f.stop(f, r)
	}
	return f.good.Stop(r)
}

func (f *faulty) Logs(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
	if f.logs != nil {
		return f.logs(f, r)
	}
	return f.good.Logs(r)
}

func (f *faulty) Delete(r *atom.EngineDeleteRequest) error {
	if f.remove != nil {
		return f.remove(f, r)
	}
	return f.good.Delete(r)
}

func (f *faulty) Lookup(r *atom.EngineLookupRequest) (atom.Atom, error) {
	if f.lookup != nil {
		return f.own(f.lookup(f, r))
	}
	return f.own(f.good.Lookup(r))
}

// creating changes what is asked for on the way.
func creating(change func(*atom.EngineCreateRequest)) *faulty {
	return &faulty{create: func(f *faulty, r *atom.EngineCreateRequest) (atom.Atom, error) {
		c := *r
		c.Spec = r.Spec.Clone()
		c.Command = slices.Clone(r.Command)
		change(&c)
		return f.good.Create(&c)
	}}
}

// logging changes the chunks of logs on the way.
func logging(next func(r *atom.EngineLogsRequest, src atom.LogSource) (atom.LogChunk, error)) *faulty {
	return &faulty{logs: func(f *faulty, r *atom.EngineLogsRequest) (io.ReadCloser, error) {
		logs, err := f.good.Logs(r)
		if err != nil {
			return nil, err
		}
		return atom.NewLogReader(&tap{logs.(*atom.LogReader), func(src atom.LogSource) (atom.LogChunk, error) { return next(r, src) }}, r.Timestamps), nil
	}}
}

type tap struct {
	*atom.LogReader
	next func(atom.LogSource) (atom.LogChunk, error)
}

func (t *tap) Next() (atom.LogChunk, error) { return t.next(t.LogReader) }

// fault is an engine with one promise broken, and the promises that show it.
type fault struct {
	name   string
	engine func() *faulty
	red    []string // must fail
	also   []string // prefixes of others that may, or may not, fail with them
}

var faults = []fault{
	{name: "progress is told from two sides", engine: func() *faulty {
		return creating(func(r *atom.EngineCreateRequest) {
			var both sync.WaitGroup
			for range 8 {
				both.Go(func() { r.Report(atom.Progress{Phase: atom.PhasePulling}) })
			}
			both.Wait()
		})
	}, red: []string{"a create tells its progress in turn, and not once it has returned"}},
	{name: "progress is told after the create", engine: func() *faulty {
		tell := make(chan func(atom.Progress), 100)
		return &faulty{
			create: func(f *faulty, r *atom.EngineCreateRequest) (atom.Atom, error) {
				if r.Progress != nil {
					tell <- r.Progress
				}
				return f.good.Create(r)
			},
			wait: func(f *faulty, r *atom.EngineWaitRequest) (atom.Atom, error) {
				select {
				case late := <-tell:
					late(atom.Progress{Phase: atom.PhasePulling})
				default:
				}
				return f.good.Wait(r)
			},
		}
	}, red: []string{"a create tells its progress in turn, and not once it has returned"}},
	{name: "exit code 2 is of unknown result", engine: func() *faulty {
		return &faulty{seen: func(i *atom.Info) {
			if i.ExitCode != nil && *i.ExitCode == 2 {
				i.Result = atom.Unknown
			}
		}}
	}, red: []string{"exit code 2 is a failure"}},
	{name: "exit code 127 is taken for a program that is not there", engine: func() *faulty {
		return &faulty{seen: func(i *atom.Info) {
			if i.ExitCode != nil && *i.ExitCode == 127 {
				i.Result = atom.StartupFailure
			}
		}}
	}, red: []string{"exit code 127 of a program that ran is a failure"}},
	{name: "137 is taken for want of memory", engine: func() *faulty {
		return &faulty{seen: func(i *atom.Info) {
			if i.Result == atom.Killed {
				i.Result = atom.ResourceFailure
			}
		}}
	}, red: []string{"an end by SIGKILL is killed, and no want of memory", "force kills at once"},
		also: []string{"force", "a job that ignores SIGTERM", "fractions", "the smallest", "a stop"}},
	{name: "no exit code", engine: func() *faulty {
		return &faulty{seen: func(i *atom.Info) { i.ExitCode = nil }}
	}, red: []string{"exit code 0 is a success", "exit code 1 is a failure"},
		also: []string{"exit code", "an end", "a job", "a stop", "a wait", "any number of waiters", "force", "fractions", "the smallest", "stops", "a lookup finds", "a list says", "a clean exit", "a tmpfs", "a grandchild"}},
	{name: "an exit code of a running atom", engine: func() *faulty {
		return &faulty{seen: func(i *atom.Info) {
			if i.ExitCode == nil && i.State != atom.Stopped {
				i.ExitCode = new(int)
			}
		}}
	}, red: []string{"a running atom has no result, no exit code and no end"}},
	{name: "an exit code of a job that never ran", engine: func() *faulty {
		return &faulty{seen: func(i *atom.Info) {
			if i.Result == atom.StartupFailure {
				i.ExitCode = new(int)
			}
		}}
	}, red: []string{"a program that does not exist is a startup failure", "a program that is not on the path is a startup failure"}, also: []string{"an image", "a directory", "a user", "a limit"}},
	{name: "the last line is lost", engine: func() *faulty {
		return logging(func(_ *atom.EngineLogsRequest, src atom.LogSource) (atom.LogChunk, error) {
			c, err := src.Next()
			if err == nil && !bytes.HasSuffix(c.Data, []byte("\n")) && len(c.Data) < 16<<10 {
				return atom.LogChunk{}, io.EOF
			}
			return c, err
		})
	}, red: []string{"a last line without a newline arrives", "tail counts lines, long ones and the last without a newline too"},
		also: []string{"a log", "a line of", "a mebibyte", "eight", "invalid", "each stream", "timestamps", "one stream", "carriage", "a slow", "an error", "a long log", "a command", "without command"}},
	{name: "invalid bytes are replaced", engine: func() *faulty {
		return logging(func(_ *atom.EngineLogsRequest, src atom.LogSource) (atom.LogChunk, error) {
			c, err := src.Next()
			c.Data = bytes.ToValidUTF8(c.Data, []byte("\ufffd"))
			return c, err
		})
	}, red: []string{"invalid UTF-8 and NUL survive"}},
	{name: "the chunks of a log share a buffer", engine: func() *faulty {
		shared := make(map[atom.LogSource][]byte)
		var mu sync.Mutex
		return logging(func(_ *atom.EngineLogsRequest, src atom.LogSource) (atom.LogChunk, error) {
			c, err := src.Next()
			mu.Lock()
			defer mu.Unlock()
			shared[src] = append(shared[src][:0], c.Data...)
			c.Data = shared[src]
			return c, err
		})
	}, red: []string{"a log cut after any chunk goes on with the very next byte", "one stream goes on after its cursor"}},
	{name: "a wait on a deleted atom hangs", engine: func() *faulty {
		return &faulty{wait: func(f *faulty, r *atom.EngineWaitRequest) (atom.Atom, error) {
			a, err := f.good.Wait(r)
			if err != nil {
				return nil, err
			}
			if _, err := f.good.Get(&atom.EngineGetRequest{ID: r.ID, Owner: r.Owner}); errdefs.IsNotFound(err) {
				<-atom.ContextOr(r.Context).Done()
				return nil, r.Context.Err()
			}
			return a, nil
		}, remove: slowly}
	}, red: []string{"a wait on an atom that was deleted meanwhile never hangs and reports no success"}},
	{name: "a deleted atom is reported as a success", engine: func() *faulty {
		return &faulty{wait: func(f *faulty, r *atom.EngineWaitRequest) (atom.Atom, error) {
			a, err := f.good.Wait(r)
			if err != nil {
				return nil, err
			}
			info := atom.InfoOf(a)
			if info.Result == atom.Killed {
				info.Result = atom.Success
			}
			return atom.New(info, f), nil
		}, remove: slowly}
	}, red: []string{"a wait on an atom that was deleted meanwhile never hangs and reports no success"},
		also: []string{"an end by SIGKILL", "a stop that was begun"}},
	{name: "a wait does not wait", engine: func() *faulty {
		return &faulty{wait: func(f *faulty, r *atom.EngineWaitRequest) (atom.Atom, error) {
			return f.good.Get(&atom.EngineGetRequest{ID: r.ID, Owner: r.Owner, Context: r.Context})
		}}
	}, red: []string{"a cancelled wait ends with the context's error"}, also: []string{""}}, // whatever waits for a job that takes a moment
	{name: "other owners' atoms are listed", engine: func() *faulty {
		return &faulty{list: func(f *faulty, r *atom.EngineListRequest) ([]atom.Atom, error) {
			ours, err := f.good.List(r)
			if err != nil {
				return nil, err
			}
			theirs, err := f.good.List(&atom.EngineListRequest{Since: r.Since, Before: r.Before, Owner: foreignOwner})
			return append(ours, theirs...), err
		}}
	}, red: []string{"another owner's atoms are not listed"}, also: []string{"a list", "an atom names"}},
	{name: "other owners' atoms are found", engine: func() *faulty {
		return &faulty{get: func(f *faulty, r *atom.EngineGetRequest) (atom.Atom, error) {
			a, err := f.good.Get(r)
			if errdefs.IsNotFound(err) {
				return f.good.Get(&atom.EngineGetRequest{ID: r.ID, Owner: foreignOwner, Context: r.Context})
			}
			return a, err
		}}
	}, red: []string{"another owner's atom does not exist for any call"}},
	{name: "the list is not sorted", engine: func() *faulty {
		return &faulty{list: func(f *faulty, r *atom.EngineListRequest) ([]atom.Atom, error) {
			atoms, err := f.good.List(r)
			slices.Reverse(atoms)
			return atoms, err
		}}
	}, red: []string{"a list shows the owner's atoms, stopped ones too, oldest first"}},
	{name: "the list leaves stopped atoms out", engine: func() *faulty {
		return &faulty{list: func(f *faulty, r *atom.EngineListRequest) ([]atom.Atom, error) {
			atoms, err := f.good.List(r)
			return slices.DeleteFunc(atoms, func(a atom.Atom) bool { return a.State() == atom.Stopped }), err
		}}
	}, red: []string{"a list shows the owner's atoms, stopped ones too, oldest first", "a list says of an atom what a get says", "a stop keeps result, exit code and log"},
		also: []string{"labels", "a list take"}},
	{name: "the list takes its last moment in", engine: func() *faulty {
		return &faulty{list: func(f *faulty, r *atom.EngineListRequest) ([]atom.Atom, error) {
			c := *r
			if !c.Before.IsZero() {
				c.Before = c.Before.Add(1)
			}
			return f.good.List(&c)
		}}
	}, red: []string{"a list takes its first moment in and leaves its last one out, to the nanosecond"}, also: []string{"a list taken"}},
	{name: "since is rounded to seconds", engine: func() *faulty {
		return &faulty{logs: func(f *faulty, r *atom.EngineLogsRequest) (io.ReadCloser, error) {
			c := *r
			c.Since = r.Since.Truncate(time.Second)
			return f.good.Logs(&c)
		}}
	}, red: []string{"since leaves out what is older, exact to the nanosecond"}, also: []string{"tail counts what since leaves"}},
	{name: "tail counts records", engine: func() *faulty {
		return &faulty{logs: func(f *faulty, r *atom.EngineLogsRequest) (io.ReadCloser, error) {
			if r.Tail <= 0 || r.Cursor != "" {
				return f.good.Logs(r)
			}
			c := *r
			c.Tail = 0
			logs, err := f.good.Logs(&c)
			if err != nil {
				return nil, err
			}
			defer logs.Close()
			var last []atom.LogChunk
			for {
				chunk, err := logs.(*atom.LogReader).Next()
				if err != nil {
					break
				}
				last = append(last, chunk)
			}
			last = last[max(len(last)-r.Tail, 0):]
			return atom.NewLogReader(&tap{logs.(*atom.LogReader), func(atom.LogSource) (atom.LogChunk, error) {
				if len(last) == 0 {
					return atom.LogChunk{}, io.EOF
				}
				chunk := last[0]
				last = last[1:]
				return chunk, nil
			}}, r.Timestamps), nil
		}}
	}, red: []string{"tail counts lines, long ones and the last without a newline too"}, also: []string{"a long log's tail"}},
	{name: "a stream of atoms begins again at its end", engine: func() *faulty {
		return &faulty{stream: func(f *faulty, r *atom.EngineListRequest, found func(atom.Atom) error) error {
			atoms, err := f.List(r)
			for _, a := range slices.Concat(atoms, atoms) {
				if err := found(a); err != nil {
					return err
				}
			}
			return err
		}}
	}, red: []string{"a list taken as it is found holds the same atoms, each once"}},
	{name: "a stream of atoms does not end when its taker does", engine: func() *faulty {
		return &faulty{stream: func(f *faulty, r *atom.EngineListRequest, found func(atom.Atom) error) error {
			atoms, err := f.List(r)
			for _, a := range atoms {
				err = errors.Join(err, found(a))
			}
			return err
		}}
	}, red: []string{"a list taken as it is found holds the same atoms, each once"}},
	{name: "every record gets a timestamp", engine: func() *faulty {
		return logging(func(r *atom.EngineLogsRequest, src atom.LogSource) (atom.LogChunk, error) {
			c, err := src.Next()
			if err == nil && r.Timestamps {
				c.Data = append(c.Time.UTC().AppendFormat(nil, time.RFC3339Nano+" "), c.Data...)
				c.Time = time.Time{}
			}
			return c, err
		})
	}, red: []string{"timestamps stand before each line, once, in UTC, and never run backwards"}, also: []string{"a log with timestamps"}},
	{name: "a cursor skips a record", engine: func() *faulty {
		return &faulty{logs: func(f *faulty, r *atom.EngineLogsRequest) (io.ReadCloser, error) {
			logs, err := f.good.Logs(r)
			if err == nil && r.Cursor != "" {
				_, _ = logs.(*atom.LogReader).Next()
			}
			if l, ok := logs.(*atom.LogReader); ok && r.Cursor != "" {
				return atom.NewLogReader(&tap{l, func(src atom.LogSource) (atom.LogChunk, error) { return src.Next() }}, r.Timestamps), nil
			}
			return logs, err
		}}
	}, red: []string{"a log cut after any chunk goes on with the very next byte", "one stream goes on after its cursor"},
		also: []string{"a log", "logs that cannot"}},
	{name: "a cursor repeats what was delivered", engine: func() *faulty {
		return &faulty{logs: func(f *faulty, r *atom.EngineLogsRequest) (io.ReadCloser, error) {
			c := *r
			if c.Cursor == "3" {
				c.Cursor = "2"
			}
			return f.good.Logs(&c)
		}}
	}, red: []string{"a log cut after any chunk goes on with the very next byte"}, also: []string{"a log", "one stream"}},
	{name: "a broken log ends as if it were complete", engine: func() *faulty {
		return logging(func(_ *atom.EngineLogsRequest, src atom.LogSource) (atom.LogChunk, error) {
			c, err := src.Next()
			if err != nil {
				err = io.EOF
			}
			return c, err
		})
	}, red: []string{"cancelling ends a log with the context's error"}, also: []string{"closing a log"}},
	{name: "a log is not followed", engine: func() *faulty {
		return &faulty{logs: func(f *faulty, r *atom.EngineLogsRequest) (io.ReadCloser, error) {
			c := *r
			c.NoFollow = r.NoFollow || r.Tail == atom.TailNone
			return f.good.Logs(&c)
		}}
	}, red: []string{"tail of nothing follows what comes next"}},
	{name: "streams are mixed up", engine: func() *faulty {
		return logging(func(_ *atom.EngineLogsRequest, src atom.LogSource) (atom.LogChunk, error) {
			c, err := src.Next()
			c.Stream = atom.Stdout
			return c, err
		})
	}, red: []string{"each stream arrives whole and in its order", "each chunk names its stream"}},
	{name: "goroutines are left behind by waits", engine: func() *faulty {
		return &faulty{wait: func(f *faulty, r *atom.EngineWaitRequest) (atom.Atom, error) {
			go func() { select {} }()
			return f.good.Wait(r)
		}}
	}, red: []string{"cancelled calls leave no goroutine behind"}},
	{name: "a stop returns early", engine: func() *faulty {
		return &faulty{stop: func(f *faulty, r *atom.EngineStopRequest) error {
			if _, err := f.good.Get(&atom.EngineGetRequest{ID: r.ID, Owner: r.Owner, Context: r.Context}); err != nil {
				return err
			}
			c := *r
			c.Context = nil
			go f.good.Stop(&c)
			return nil
		}}
	}, red: []string{"a job that ignores SIGTERM is killed after the timeout", "a stop without a timeout takes that of the spec"},
		also: []string{"a stop", "fractions", "the smallest", "force", "stops", "a clean", "a job that", "a snapshot", "the log of"}},
	{name: "a stop's fractions are cut off", engine: func() *faulty {
		return &faulty{stop: func(f *faulty, r *atom.EngineStopRequest) error {
			c := *r
			c.Timeout = r.Timeout.Truncate(time.Second)
			c.Force = r.Force || r.Timeout != 0 && c.Timeout == 0
			return f.good.Stop(&c)
		}}
	}, red: []string{"fractions of a second of a timeout round up", "the smallest timeout is a second and not none"}},
	{name: "a stop takes the log along", engine: func() *faulty {
		var mu sync.Mutex
		stopped := make(map[string]bool)
		return &faulty{stop: func(f *faulty, r *atom.EngineStopRequest) error {
			err := f.good.Stop(r)
			mu.Lock()
			defer mu.Unlock()
			stopped[r.ID] = err == nil
			return err
		}, logs: func(f *faulty, r *atom.EngineLogsRequest) (io.ReadCloser, error) {
			mu.Lock()
			defer mu.Unlock()
			if stopped[r.ID] {
				return nil, atom.Errorf(errdefs.ErrNotFound, "the log is gone")
			}
			return f.good.Logs(r)
		}}
	}, red: []string{"a stop keeps result, exit code and log", "the log of a killed atom stays"}, also: []string{"a request without"}},
	{name: "the key is ignored", engine: func() *faulty {
		return creating(func(r *atom.EngineCreateRequest) {
			if atom.ValidateKey(r.Key) == nil {
				r.Key = ""
			}
		})
	}, red: []string{"the same key and request give the same atom, also once it has stopped", "creates at once under one key make one atom",
		"the same key with another request is AlreadyExists", "a lookup finds the atom of a key, running or stopped"},
		also: []string{"empty and nil", "a key is", "an atom names", "a request without", "another owner's"}},
	{name: "requests are compared after defaults", engine: func() *faulty {
		return creating(func(r *atom.EngineCreateRequest) {
			if r.Spec.PullPolicy == "" {
				r.Spec.PullPolicy = container.PullIfNotPresent
			}
		})
	}, red: []string{"the same key with another request is AlreadyExists"}},
	{name: "the environment is dropped", engine: func() *faulty {
		return creating(func(r *atom.EngineCreateRequest) {
			if r.Validate() == nil {
				r.Spec.Env = nil
			}
		})
	}, red: []string{"variables arrive as given", "variables win over the image's"}, also: []string{"the same key with another"}},
	{name: "dollars are doubled once too often", engine: func() *faulty {
		return creating(func(r *atom.EngineCreateRequest) {
			for i := range r.Command {
				r.Command[i] = strings.ReplaceAll(r.Command[i], "$$", "$")
			}
		})
	}, red: []string{"arguments arrive as given"}},
	{name: "a command replaces the entrypoint", engine: func() *faulty {
		return creating(func(r *atom.EngineCreateRequest) {
			if len(r.Command) > 1 && r.Command[0] == "args" && r.Command[1] == "a" {
				r.Spec.Entrypoint, r.Command = r.Command, nil
			}
		})
	}, red: []string{"a command keeps the image's entrypoint"}},
	{name: "reserved labels are taken", engine: func() *faulty {
		return creating(func(r *atom.EngineCreateRequest) { delete(r.Spec.Labels, atom.LabelOwner) })
	}, red: []string{"a label under cloud.caesium is InvalidArgument and makes nothing"}},
	{name: "the name is shortened", engine: func() *faulty {
		return &faulty{seen: func(i *atom.Info) { i.Name = i.Name[:min(len(i.Name), 63)] }}
	}, red: []string{"a name is kept as given, and two atoms may share it"}},
	{name: "what is not there is no error", engine: func() *faulty {
		return &faulty{stop: func(f *faulty, r *atom.EngineStopRequest) error {
			if err := f.good.Stop(r); !errdefs.IsNotFound(err) {
				return err
			}
			return nil
		}}
	}, red: []string{"a get of what does not exist is NotFound, and so are the other calls", "a deleted atom is gone for every call and from the list"},
		also: []string{"another owner's atom does not", "an error names"}},
	{name: "an empty ID panics", engine: func() *faulty {
		return &faulty{get: func(f *faulty, r *atom.EngineGetRequest) (atom.Atom, error) {
			_ = r.ID[0]
			return f.good.Get(r)
		}}
	}, red: []string{"an empty ID is an error and no panic", "requests that say nothing are errors and no panic"}},
	{name: "contexts are not looked at", engine: func() *faulty {
		return &faulty{get: func(f *faulty, r *atom.EngineGetRequest) (atom.Atom, error) {
			return f.good.Get(&atom.EngineGetRequest{ID: r.ID, Owner: r.Owner})
		}}
	}, red: []string{"every call with a context that is over ends with its error"}},
	{name: "a running atom is deleted without force", engine: func() *faulty {
		return &faulty{remove: func(f *faulty, r *atom.EngineDeleteRequest) error {
			c := *r
			c.Force = true
			return f.good.Delete(&c)
		}}
	}, red: []string{"a running atom is not deleted without force"}},
}

// slowly deletes, and returns when waiters have had a chance to look.
func slowly(f *faulty, r *atom.EngineDeleteRequest) error {
	time.Sleep(100 * time.Millisecond)
	return f.good.Delete(r)
}

// brokenEnv names the fault that a child of this test is to show.
const brokenEnv = "ATOMTEST_FAULT"

// TestFaults shows that the suite can fail, and where: a child process runs
// it against each faulty engine.
func TestFaults(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	failed := regexp.MustCompile(`(?m)^ +--- FAIL: TestFaulty/promises/(.*) \([0-9.]+s\)$`)
	ctx, slots := t.Context(), make(chan struct{}, 6)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			type outcome struct {
				out []byte
				err error
			}
			done := make(chan outcome, 1)
			go func() { // ends with the child
				slots <- struct{}{}
				defer func() { <-slots }()
				cmd := exec.CommandContext(ctx, self, "-test.run=^TestFaulty$", "-test.v", "-test.timeout=2m")
				cmd.Env = append(os.Environ(), brokenEnv+"="+f.name)
				out, err := cmd.CombinedOutput()
				done <- outcome{out, err}
			}()
			t.Parallel() // children mostly sleep: how many run at once is up to the slots
			o := <-done
			out, err := o.out, o.err
			if err == nil {
				t.Fatal("the suite found nothing")
			}
			red := make(map[string]bool)
			for _, m := range failed.FindAllStringSubmatch(string(out), -1) {
				red[m[1]] = true
			}
			for _, name := range f.red {
				if !red[subtest(name)] {
					t.Errorf("the suite did not find that %q is broken", name)
				}
				delete(red, subtest(name))
			}
			var others []string
			for name := range red {
				if !slices.ContainsFunc(f.also, func(prefix string) bool { return strings.HasPrefix(name, subtest(prefix)) }) {
					others = append(others, name)
				}
			}
			if diff := cmp.Diff([]string(nil), others); diff != "" {
				t.Errorf("the suite blames promises that were kept (+):\n%s", diff)
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
		})
	}
}

// subtest is how the testing package writes a name.
func subtest(name string) string { return strings.ReplaceAll(name, " ", "_") }

// TestFaulty is what a child runs.
func TestFaulty(t *testing.T) {
	name := os.Getenv(brokenEnv)
	i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
	if i < 0 {
		return
	}
	run(t, Harness{Parallel: 64, New: func(t *testing.T) *Env {
		f := faults[i].engine()
		f.good = memengine.New()
		t.Cleanup(func() { f.good.Close() })
		return &Env{Engine: f, Capabilities: memengine.AllCapabilities(), Image: memengine.Image, Timeout: 20 * time.Second}
	}}, quick(faults[i].red))
}

// quick leaves out what takes the most time, and is not to fail.
func quick(red []string) []Promise {
	return slices.DeleteFunc(Promises(), func(p Promise) bool {
		return !slices.Contains(red, p.Name) && slices.ContainsFunc([]string{
			"eight mebibytes", "a mebibyte", "a slow reader", "a long log's tail", "cancelled calls leave", "each stream arrives", "any number of readers",
		}, func(prefix string) bool { return strings.HasPrefix(p.Name, prefix) })
	})
}
