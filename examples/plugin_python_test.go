package examples

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugin/driver"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

func TestPythonPlugin(t *testing.T) {
	testenv.Python(t)
	binary := filepath.Join(t.TempDir(), "atom-plugin-python")
	if out, err := exec.CommandContext(t.Context(), "plugin-python/build.sh", binary).CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	for name, test := range map[string]func(*testing.T, string){
		"passes the exam":              func(t *testing.T, binary string) { examine(t, plugin.LaunchOptions{Path: binary}) },
		"describes itself":             describesItself,
		"says what is wrong":           saysWhatIsWrong,
		"logs to its host at levels":   logsAtLevels,
		"ignores signals":              ignoresSignals,
		"may be pinned":                mayBePinned,
		"ends with its host":           endsWithItsHost,
		"ends when it is asked to":     endsWhenAsked,
		"answers pings":                answersPings,
		"takes its host for a client":  takesItsHost,
		"is not to be started by hand": notByHand,
	} {
		t.Run(name, func(t *testing.T) { test(t, binary) })
	}
}

func describesItself(t *testing.T, binary string) {
	p := launch(t, `{}`, plugin.LaunchOptions{Path: binary})
	want := plugin.Description{
		Name: "python", Version: "0.1.0", Protocol: "1.0", Capabilities: driver.Capabilities(),
		Schema: plugin.Schema{Attributes: []plugin.Attribute{{
			Name: "dir", Type: json.RawMessage(`"string"`), Default: "/", Doc: "where atoms without a working directory start",
		}}},
	}
	if diff := cmp.Diff(want, p.Description()); diff != "" {
		t.Error(diff)
	}
	if err := p.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if got, err := p.Engine().Probe(t.Context()); err != nil || cmp.Diff(driver.Capabilities(), got) != "" {
		t.Errorf("probed: %v, %v", got, err)
	}
}

// saysWhatIsWrong: errors have their class, and name fields.
func saysWhatIsWrong(t *testing.T, binary string) {
	p, err := plugin.Launch(t.Context(), plugin.LaunchOptions{Path: binary})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	get := func() error {
		_, err := p.Engine().Get(&atom.EngineGetRequest{ID: "x"})
		return err
	}
	if err := get(); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a call before Configure: %v", err)
	}
	field := func(err error, want string) {
		t.Helper()
		if fields := atom.AsFieldErrors(err); len(fields) != 1 || fields[0].Field != want || !errdefs.IsInvalidArgument(err) {
			t.Errorf("got %v, want a field error of %q", err, want)
		}
	}
	field(p.Configure(t.Context(), []byte(`{"dri": "/"}`)), "dri")
	field(p.Configure(t.Context(), []byte(`{"dir": 7}`)), "dir")
	if err := p.Configure(t.Context(), []byte(`{"dir": "/tmp"}`)); err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(t.Context(), nil); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("configured twice: %v", err)
	}
	if err := get(); !errdefs.IsNotFound(err) || err.Error() != "no atom 'x'" {
		t.Errorf("an atom that is not there: %v", err)
	}
	_, err = p.Engine().Create(&atom.EngineCreateRequest{Image: "none"})
	field(err, "command")
}

func logsAtLevels(t *testing.T, binary string) {
	var log bytes.Buffer
	p := launch(t, `{"dir": "/tmp"}`, plugin.LaunchOptions{Path: binary, Logger: hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug})})
	p.Close() // its stderr has then been read to the end
	for _, want := range []string{
		"[INFO]  atom-plugin-python: atoms are children of this process: dir=/tmp",
		"[DEBUG] atom-plugin-python: serving: socket=/",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log is %q, want %q in it", log.String(), want)
		}
	}
}

// parent starts an atom and returns the process that did.
func parent(t *testing.T, e atom.Engine) int {
	t.Helper()
	a, err := e.Create(&atom.EngineCreateRequest{Image: "none", Command: []string{"sh", "-c", "echo $PPID; sleep 1000 & wait"}})
	if err != nil {
		t.Fatal(err)
	}
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID()})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	line, err := bufio.NewReader(logs).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// ignoresSignals: those that reach whole process groups do not end a plugin,
// and those whom it starts die of them all the same.
func ignoresSignals(t *testing.T, binary string) {
	p := launch(t, `{}`, plugin.LaunchOptions{Path: binary})
	pid := parent(t, p.Engine())
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
		a, err := p.Engine().Create(&atom.EngineCreateRequest{Image: "none", Command: []string{"sh", "-c", fmt.Sprintf("kill -%d $$; sleep 1000", signal)}})
		if err != nil {
			t.Fatal(err)
		}
		a, err = p.Engine().Wait(&atom.EngineWaitRequest{ID: a.ID()})
		if err != nil {
			t.Fatal(err)
		}
		if code := atom.InfoOf(a).ExitCode; code == nil || *code != 128+int(signal) {
			t.Errorf("an atom's %v: exit code %v", signal, code)
		}
	}
	select {
	case <-p.Done():
		t.Errorf("it ended: %v", p.Err())
	default:
	}
}

// mayBePinned: a pinned file is executed by its descriptor, which a script's
// interpreter has to get along with.
func mayBePinned(t *testing.T, binary string) {
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	p := launch(t, `{}`, plugin.LaunchOptions{Path: binary, SHA256: hex.EncodeToString(sum[:])})
	parent(t, p.Engine())
}

// hand is a plugin that a test started itself.
type hand struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	line  []string // the handshake's fields
}

// byHand does what a host does, step by step.
func byHand(t *testing.T, binary string, env ...string) *hand {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "atomr-test-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append([]string{"ATOM_ROUTER_PLUGIN=engine", "PLUGIN_PROTOCOL_VERSIONS=1", "PLUGIN_UNIX_SOCKET_DIR=" + dir, "PATH=" + os.Getenv("PATH")}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("reading the handshake: %v", err)
	}
	h := &hand{cmd: cmd, stdin: stdin, line: strings.Split(strings.TrimSpace(line), "|")}
	if len(h.line) != 6 || strings.Join(h.line[:3], "|") != "1|1|unix" || filepath.Dir(h.line[3]) != dir || h.line[4] != "grpc" {
		t.Fatalf("the handshake is %q", line)
	}
	return h
}

// dial connects to it.
func (h *hand) dial(t *testing.T, c credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+h.line[3], grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// end waits for the process's end, which comes soon; how is up to the plugin.
func (h *hand) end(t *testing.T, what string) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- h.cmd.Wait() }() // ends with the process
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatalf("%s does not end it", what)
	}
}

// endsWithItsHost, and with it the atoms that are its children.
func endsWithItsHost(t *testing.T, binary string) {
	h := byHand(t, binary)
	conn := h.dial(t, insecure.NewCredentials())
	if _, err := pb.NewEngineClient(conn).Configure(t.Context(), &pb.ConfigureRequest{}); err != nil {
		t.Fatal(err)
	}
	if pid := parent(t, plugin.NewClient(conn)); pid != h.cmd.Process.Pid {
		t.Fatalf("the atom's parent is %d, the plugin %d", pid, h.cmd.Process.Pid)
	}
	h.stdin.Close()
	h.end(t, "the end of its stdin")
	for deadline := time.Now().Add(time.Minute); !errors.Is(syscall.Kill(-h.cmd.Process.Pid, 0), syscall.ESRCH); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("something of its process group is left")
		}
	}
}

// endsWhenAsked, while its host is still there.
func endsWhenAsked(t *testing.T, binary string) {
	h := byHand(t, binary)
	conn := h.dial(t, insecure.NewCredentials())
	if err := conn.Invoke(t.Context(), "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{}); err != nil {
		t.Fatal(err)
	}
	h.end(t, "a Shutdown")
}

// answersPings: a host pings idle connections, and a gRPC server that was told
// nothing takes the fourth of its pings for an attack (GOAWAY, too_many_pings).
func answersPings(t *testing.T, binary string) {
	conn, err := net.Dial("unix", byHand(t, binary).line[3])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	frames := http2.NewFramer(conn, conn)
	if err := frames.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	for i := byte(1); i <= 10; i++ {
		if err := frames.WritePing(false, [8]byte{i}); err != nil {
			t.Fatal(err)
		}
		for answered := false; !answered; {
			frame, err := frames.ReadFrame()
			if err != nil {
				t.Fatalf("ping %d: %v", i, err)
			}
			switch frame := frame.(type) {
			case *http2.PingFrame:
				answered = frame.IsAck() && frame.Data[0] == i
			case *http2.GoAwayFrame:
				t.Fatalf("ping %d: %v %s", i, frame.ErrCode, frame.DebugData())
			}
		}
	}
}

// takesItsHost: of clients it takes the one whose certificate it was given,
// and no other.
func takesItsHost(t *testing.T, binary string) {
	ours, text := certificate(t)
	h := byHand(t, binary, "PLUGIN_CLIENT_CERT="+text)
	der, err := base64.RawStdEncoding.DecodeString(h.line[5])
	if err != nil {
		t.Fatal(err)
	}
	its, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	others, _ := certificate(t)
	for name, c := range map[string]struct {
		cert  *tls.Certificate
		taken bool
	}{"the host": {&ours, true}, "somebody else": {&others, false}, "nobody": {nil, false}} {
		config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
		config.RootCAs.AddCert(its)
		if c.cert != nil {
			config.Certificates = []tls.Certificate{*c.cert}
		}
		_, err := pb.NewEngineClient(h.dial(t, credentials.NewTLS(config))).Describe(t.Context(), &pb.DescribeRequest{})
		if (err == nil) != c.taken {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// certificate is one like go-plugin's, and its PEM.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, SerialNumber: big.NewInt(1),
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func notByHand(t *testing.T, binary string) {
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	want := "atom-plugin-python is an engine plugin of atom-router and is started by it, not by hand\n"
	if cmd.ProcessState.ExitCode() != 1 || string(out) != want {
		t.Errorf("%v: %q", err, out)
	}
}
