package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/atom-router/atom-router/internal/testenv"
)

// received is a span as OTLP's JSON has it.
type received struct {
	service      string
	TraceID      string `json:"traceId"`
	SpanID       string `json:"spanId"`
	ParentSpanID string `json:"parentSpanId"`
	Name         string
	Status       struct{ Message string }
}

// receiver is the OpenTelemetry collector's, as a program.
type receiver struct {
	grpc, http string // where it listens

	mu    sync.Mutex
	lines []string
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	program := testenv.OTLPReceiver(t)
	r := &receiver{}
	cmd := exec.Command(program)
	stdin, err := cmd.StdinPipe() // its end ends it
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	if _, err := fmt.Fscanf(lines, "ready %s %s\n", &r.grpc, &r.http); err != nil {
		t.Fatalf("the receiver does not say where it listens: %v, %s", err, stderr.String())
	}
	read := make(chan struct{})
	go func() { // ends with the receiver
		defer close(read)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			r.mu.Lock()
			r.lines = append(r.lines, line)
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		stdin.Close()
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("the receiver: %v\n%s", err, stderr.String())
		}
	})
	return r
}

// deadAddress is one of this machine that nobody listens at, nor can while the
// test runs: a socket has it that does not listen.
func deadAddress(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}

// text is all that it received.
func (r *receiver) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "")
}

func (r *receiver) spans(t *testing.T) []received {
	t.Helper()
	var all []received
	messages := json.NewDecoder(strings.NewReader(r.text()))
	for {
		var m struct {
			ResourceSpans []struct {
				Resource struct {
					Attributes []struct {
						Key   string
						Value struct{ StringValue string }
					}
				}
				ScopeSpans []struct{ Spans []received }
			}
		}
		if err := messages.Decode(&m); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		for _, rs := range m.ResourceSpans {
			service := ""
			for _, a := range rs.Resource.Attributes {
				if a.Key == "service.name" {
					service = a.Value.StringValue
				}
			}
			for _, scope := range rs.ScopeSpans {
				for _, s := range scope.Spans {
					s.service = service
					all = append(all, s)
				}
			}
		}
	}
}

// path is a span's name and those above it, with the services.
func path(spans []received, s received) string {
	text := s.service + " " + s.Name
	for _, above := range spans {
		if above.SpanID == s.ParentSpanID && above.TraceID == s.TraceID {
			return path(spans, above) + " > " + text
		}
	}
	return text
}

// waitFor waits until there is a span that stands so, and returns the trace.
func (r *receiver) waitFor(t *testing.T, want string) (trace string) {
	t.Helper()
	eventually(t, "a span "+want, func() bool {
		spans := r.spans(t)
		n := slices.IndexFunc(spans, func(s received) bool { return path(spans, s) == want })
		if n >= 0 {
			trace = spans[n].TraceID
		}
		return n >= 0
	})
	return trace
}

// The secret of a job's env is in nothing that is sent.
const secret = "hunter2-and-more"

func TestTraces(t *testing.T) {
	r := startReceiver(t)
	for protocol, address := range map[string]string{"grpc": r.grpc, "http/protobuf": r.http} {
		t.Run(protocol, func(t *testing.T) {
			s := newScene(t, "", processConfig)
			cmd := s.command("run", "-e", "SECRET="+secret, "x", "--", "/bin/sh", "-c", "exit 3")
			service := "cli-" + strings.ReplaceAll(protocol, "/", "-")
			cmd.Env = append(cmd.Env,
				"OTEL_EXPORTER_OTLP_ENDPOINT=http://"+address, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, "OTEL_SERVICE_NAME="+service)
			c := startChild(t, cmd)
			if code := c.wait(); code != 3 {
				t.Fatalf("exit code %d: %s", code, c.err.all.String())
			}
			if errs := c.err.all.String(); strings.Contains(errs, "trace") {
				t.Errorf("stderr: %s", errs)
			}
			verb := service + " atom-router run"
			trace := r.waitFor(t, verb)
			for _, op := range []string{"CreateWithProgress", "Logs", "Wait", "Delete"} {
				router := verb + " > " + service + " router " + strings.ToLower(strings.TrimSuffix(op, "WithProgress"))
				call := "atomrouter.engine.v1.Engine/" + op
				if got := r.waitFor(t, router+" > "+service+" "+call+" > atom-plugin-process "+call); got != trace {
					t.Errorf("%s is of trace %s and not %s", op, got, trace)
				}
			}
		})
	}
	if strings.Contains(r.text(), `"code":2`) {
		t.Errorf("a span has failed: %s", r.text())
	}
	if strings.Contains(r.text(), secret) {
		t.Errorf("the value of an env variable was sent: %s", r.text())
	}
}

// A call through the daemon is one trace: its client's, the daemon's and the
// plugin's part.
func TestTracesThroughTheDaemon(t *testing.T) {
	r := startReceiver(t)
	s := newScene(t, "", processConfig+`
listen "unix" { path = "engine.sock" }
`)
	address := "unix://" + filepath.Join(s.work, "engine.sock")
	serve := s.command("serve")
	serve.Env = append(serve.Env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+r.http, "OTEL_SERVICE_NAME=daemon")
	d := startChild(t, serve)
	d.until(d.err, "listening")
	cmd := s.command("run", "--address", address, "-e", "SECRET="+secret, "x", "--", "/bin/true")
	cmd.Env = append(cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+r.http, "OTEL_SERVICE_NAME=client")
	c := startChild(t, cmd)
	if code := c.wait(); code != 0 {
		t.Fatalf("exit code %d: %s", code, c.err.all.String())
	}
	d.signal(syscall.SIGTERM)
	if code := d.wait(); code != 0 {
		t.Errorf("serve: exit code %d: %s", code, d.err.all.String())
	}
	trace := r.waitFor(t, "client atom-router run")
	for _, op := range []string{"CreateWithProgress", "Logs", "Wait", "Delete"} {
		call := " atomrouter.engine.v1.Engine/" + op
		got := r.waitFor(t, "client atom-router run > client"+call+" > daemon"+call+
			" > daemon router "+strings.ToLower(strings.TrimSuffix(op, "WithProgress"))+" > daemon"+call+" > atom-plugin-process"+call)
		if got != trace {
			t.Errorf("%s is of trace %s and not %s", op, got, trace)
		}
	}
	if strings.Contains(r.text(), secret) {
		t.Errorf("the value of an env variable was sent: %s", r.text())
	}
}

// A plugin that knows nothing of traces works in one.
func TestTracesWithAPlainPlugin(t *testing.T) {
	r := startReceiver(t)
	s := newScene(t, "", strings.Replace(processConfig, `plugin = "process"`, `plugin = "plain"`, 1))
	cmd := s.command("run", "x", "--", "/bin/echo", "hello")
	cmd.Env = append(cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+r.http)
	c := startChild(t, cmd)
	if code := c.wait(); code != 0 || c.out.all.String() != "hello\n" {
		t.Fatalf("exit code %d, %q: %s", code, c.out.all.String(), c.err.all.String())
	}
	r.waitFor(t, "atom-router atom-router run > atom-router router wait > atom-router atomrouter.engine.v1.Engine/Wait")
	for _, span := range r.spans(t) {
		if span.service != "atom-router" {
			t.Errorf("%s is of %s", span.Name, span.service)
		}
	}
}

// An error's text may quote what a trace must not: its class is sent alone.
func TestTracesOfErrors(t *testing.T) {
	r := startReceiver(t)
	s := newScene(t, "", processConfig)
	cmd := s.command("get", "process:"+secret)
	cmd.Env = append(cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+r.http)
	c := startChild(t, cmd)
	if code := c.wait(); code != codeError {
		t.Fatalf("exit code %d: %s", code, c.err.all.String())
	}
	r.waitFor(t, "atom-router atom-router get > atom-router router get")
	if !strings.Contains(r.text(), `"not_found"`) {
		t.Errorf("the class is not in %s", r.text())
	}
	for _, span := range r.spans(t) {
		if span.Status.Message != "" {
			t.Errorf("span %s says %q", span.Name, span.Status.Message)
		}
	}
}

// Nothing is sent that was not asked for, and what cannot be sent keeps
// nobody from working.
func TestTracesThatAreNotSent(t *testing.T) {
	r := startReceiver(t)
	s := newScene(t, "", processConfig)
	for _, test := range []struct {
		name, warning string
		env           []string
	}{
		{name: "off", env: nil},
		{name: "none", env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + r.http, "OTEL_TRACES_EXPORTER=none"}},
		{name: "disabled", env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + r.http, "OTEL_SDK_DISABLED=true"}},
		{name: "another exporter", env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + r.http, "OTEL_TRACES_EXPORTER=zipkin"},
			warning: "is neither otlp nor none"},
		{name: "another protocol", env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + r.http, "OTEL_EXPORTER_OTLP_PROTOCOL=http/json"},
			warning: "is neither grpc nor http/protobuf"},
		{name: "nobody there", env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + deadAddress(t)}, warning: "traces"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := s.command("list", "-o", "json")
			cmd.Env = append(cmd.Env, test.env...)
			c := startChild(t, cmd)
			if code := c.wait(); code != 0 || strings.TrimSpace(c.out.all.String()) != "[]" {
				t.Errorf("exit code %d, %q, %s", code, c.out.all.String(), c.err.all.String())
			}
			errs := c.err.all.String()
			if !strings.Contains(errs, test.warning) || test.warning == "" && errs != "" {
				t.Errorf("stderr %q; want %q", errs, test.warning)
			}
		})
	}
	if text := r.text(); text != "" {
		t.Errorf("it was sent: %s", text)
	}
}
