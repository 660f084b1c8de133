package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
	"github.com/atom-router/atom-router/internal/wire"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// What a routed Get could cost, at most, if it went another way: each is the
// least that such a way can be, without what the router does beside (launch,
// supervision, errors, cancellation, encryption where it says so).

// spin is how long the second mailbox's processes look before they sleep.
const spin = 50 * time.Microsecond

// batch is how many atoms one call asks for.
const batch = 64

// measureFloor races a routed Get and what could be below it with a health
// check.
func measureFloor(ctx context.Context, rounds int) ([]figure, error) {
	secure, _, stop, err := startHealthServer(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	r, a, err := routerInMemory(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f, err := startFloor(ctx)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	sides := []struct {
		slug, name string
		call       func() error
	}{
		{"health", "", func() error {
			_, err := secure.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			return err
		}},
		{"get", "A routed Get", func() error {
			_, err := r.Get(&atom.EngineGetRequest{ID: a.ID(), Context: ctx})
			return err
		}},
		{"plain", "gRPC health check without TLS", func() error {
			_, err := f.health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			return err
		}},
		{"protobuf", "Get at the engine in the other process: protobuf with its length before it, over the socket, no gRPC, no TLS", f.get},
		{"ping", "30 bytes there and back over a Unix socket", f.ping},
		{"futex", "The same through shared memory, woken by a futex", func() error { return f.through(0) }},
		{"spin", "The same, looking for 50 µs before sleeping", func() error { return f.through(1) }},
	}
	var calls []func() error
	for _, s := range sides {
		calls = append(calls, s.call)
	}
	times, err := interleave(rounds, calls...)
	if err != nil {
		return nil, err
	}
	var figures []figure
	for n, s := range sides[1:] {
		one := race{times[0], times[n+1]}
		figures = append(figures, figure{slug: s.slug, name: s.name + " / gRPC health check with mTLS", values: one.ratios(), unit: "x", sides: one, detail: one.against()})
	}
	for range batch - 1 {
		if _, err := r.Create(&atom.EngineCreateRequest{Image: "memory", Context: ctx}); err != nil {
			return nil, err
		}
	}
	times, err = interleave(rounds, calls[1], func() error {
		_, err := r.List(&atom.EngineListRequest{Context: ctx})
		return err
	})
	if err != nil {
		return nil, err
	}
	one := race{times[0], times[1]}
	return append(figures, figure{
		slug: "batch", name: fmt.Sprintf("One call for %d atoms (a List) / a Get of one", batch), values: one.ratios(), unit: "x", sides: one, detail: one.against(),
	}), nil
}

// floor is the client of the process that answers in all these ways.
type floor struct {
	health    grpc_health_v1.HealthClient
	echo      net.Conn
	rpc       net.Conn
	replies   *bufio.Reader
	id        string
	mailboxes []*mailbox
	stop      func()
}

// startFloor starts that process.
func startFloor(ctx context.Context) (*floor, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	var shared []*os.File
	for range 2 {
		fd, err := unix.MemfdCreate("mailbox", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, err
		}
		file := os.NewFile(uintptr(fd), "mailbox")
		defer file.Close()
		if err := file.Truncate(mailboxBytes); err != nil {
			return nil, err
		}
		shared = append(shared, file)
	}
	server := exec.CommandContext(ctx, "/proc/self/exe", "child-floor", dir)
	server.Stderr, server.ExtraFiles = os.Stderr, shared
	ends, err := server.StdinPipe() // the child ends with us
	if err != nil {
		return nil, err
	}
	told, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	f := &floor{}
	if f.id, err = bufio.NewReader(told).ReadString('\n'); err != nil {
		return nil, fmt.Errorf("starting the process of the floor: %w", err)
	}
	f.id = strings.TrimSpace(f.id)
	conn, err := grpc.NewClient("unix:"+filepath.Join(dir, "grpc"), append(wire.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, err
	}
	f.health = grpc_health_v1.NewHealthClient(conn)
	if f.echo, err = net.Dial("unix", filepath.Join(dir, "echo")); err != nil {
		return nil, err
	}
	if f.rpc, err = net.Dial("unix", filepath.Join(dir, "rpc")); err != nil {
		return nil, err
	}
	f.replies = bufio.NewReader(f.rpc)
	for n, file := range shared {
		m, err := openMailbox(file, false, time.Duration(n)*spin)
		if err != nil {
			return nil, err
		}
		f.mailboxes = append(f.mailboxes, m)
	}
	f.stop = func() {
		conn.Close()
		f.echo.Close()
		f.rpc.Close()
		ends.Close()
		server.Wait()
		os.RemoveAll(dir)
	}
	return f, nil
}

func (f *floor) ping() error {
	var message [pingBytes]byte
	if _, err := f.echo.Write(message[:]); err != nil {
		return err
	}
	_, err := io.ReadFull(f.echo, message[:])
	return err
}

func (f *floor) through(mailbox int) error {
	m := f.mailboxes[mailbox]
	var message [pingBytes]byte
	seen := m.theirs.rung.Load()
	m.send(message[:])
	m.receive(message[:], seen)
	return nil
}

func (f *floor) get() error {
	if err := writeMessage(f.rpc, &pb.GetRequest{Id: f.id}); err != nil {
		return err
	}
	var answer pb.GetResponse
	if err := readMessage(f.replies, &answer); err != nil {
		return err
	}
	if a := wire.AtomFromWire(answer.Atom, nil); a.ID() != f.id {
		return fmt.Errorf("asked for %q, got %q", f.id, a.ID())
	}
	return nil
}

// serveFloor is that process.
func serveFloor(dir string) error {
	engine := memengine.New()
	a, err := engine.Create(&atom.EngineCreateRequest{Image: "memory"})
	if err != nil {
		return err
	}
	listen := func(name string) (l net.Listener) {
		if err == nil {
			l, err = net.Listen("unix", filepath.Join(dir, name))
		}
		return l
	}
	plain, echo, rpc := listen("grpc"), listen("echo"), listen("rpc")
	if err != nil {
		return err
	}
	server := grpc.NewServer(wire.ServerOptions()...)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(plain) // these end with the process
	go serveOne(echo, func(conn io.ReadWriter) error {
		var message [pingBytes]byte
		if _, err := io.ReadFull(conn, message[:]); err != nil {
			return err
		}
		_, err := conn.Write(message[:])
		return err
	})
	go serveOne(rpc, func(conn io.ReadWriter) error {
		var asked pb.GetRequest
		if err := readMessage(conn, &asked); err != nil {
			return err
		}
		a, err := engine.Get(&atom.EngineGetRequest{ID: asked.Id, Owner: asked.Owner})
		if err != nil {
			return err
		}
		return writeMessage(conn, &pb.GetResponse{Atom: wire.AtomToWire(a)})
	})
	for n := range 2 {
		m, err := openMailbox(os.NewFile(uintptr(3+n), "mailbox"), true, time.Duration(n)*spin)
		if err != nil {
			return err
		}
		go func() {
			var message [pingBytes]byte
			for seen := uint32(0); ; seen++ {
				m.receive(message[:], seen)
				m.send(message[:])
			}
		}()
	}
	fmt.Println(a.ID())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// serveOne answers at the one connection that there will be.
func serveOne(l net.Listener, answer func(io.ReadWriter) error) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	buffered := struct {
		io.Reader
		io.Writer
	}{bufio.NewReader(conn), conn}
	for err == nil {
		err = answer(buffered)
	}
}

func writeMessage(w io.Writer, m proto.Message) error {
	bytes, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 4, 512), m)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint32(bytes, uint32(len(bytes)-4))
	_, err = w.Write(bytes)
	return err
}

func readMessage(r io.Reader, m proto.Message) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	bytes := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(r, bytes); err != nil {
		return err
	}
	return proto.Unmarshal(bytes, m)
}
