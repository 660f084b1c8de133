package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/network"

	"github.com/atom-router/atom-router/atom"
)

// dockerShaped answers as a Docker daemon with any number of containers does:
// as large, and encoded for each answer. They run until all of them end at
// once.
type dockerShaped struct {
	*shaped
	count   int
	started time.Time
}

// serveDocker is the process of one.
func serveDocker(socket, aside, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	d := &dockerShaped{newShaped(), n, time.Now()}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", api.DefaultVersion) })
	mux.HandleFunc("/{version}/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	mux.HandleFunc("/{version}/containers/json", d.list)
	mux.HandleFunc("/{version}/containers/{id}/json", d.inspect)
	mux.HandleFunc("/{version}/containers/{id}/wait", d.wait)
	mux.HandleFunc("/{version}/events", d.events)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return d.serve(aside, func() error { return (&http.Server{Handler: mux, ConnState: d.tally}).Serve(l) })
}

// dockerID is the ID of container n; the older, the lower.
func dockerID(n int) string { return fmt.Sprintf("%064x", n) }

func (d *dockerShaped) created(n int) time.Time {
	return d.started.Add(time.Duration(n-d.count) * time.Second)
}

func (d *dockerShaped) labels(n int) map[string]string {
	return map[string]string{
		atom.Label: "atom", atom.LabelOwner: atom.DefaultOwner, atom.LabelRule: "default", atom.LabelName: "job-" + strconv.Itoa(n),
		atom.LabelCreated: strconv.FormatInt(d.created(n).UnixNano(), 10), atom.Label + ".image": "registry.example/team/job:1.4",
		atom.LabelHash: "v1:" + strings.Repeat("0123456789abcdef", 4), "team": "ml", "step": strconv.Itoa(n % 7), atom.Label + ".labels": `{"team":"ml","step":"` + strconv.Itoa(n%7) + `"}`,
	}
}

// list describes all of them before it answers, and so does the daemon
// (moby's daemon/list.go and api/server/httputils).
func (d *dockerShaped) list(w http.ResponseWriter, r *http.Request) {
	at, _ := d.now()
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil {
		limit = d.count
	}
	all := make([]*container.Summary, 0, limit)
	for n := d.count - 1; n >= 0 && len(all) < limit; n-- {
		c := &container.Summary{
			ID: dockerID(n), Names: []string{"/atom-" + dockerID(n)[38:]}, Image: "registry.example/team/job:1.4", ImageID: "sha256:" + dockerID(7),
			Command: "/bin/job --shard 12 --of 40", Created: d.created(n).Unix(), Labels: d.labels(n), State: container.StateRunning, Status: "Up 3 hours",
			NetworkSettings: &container.NetworkSettingsSummary{Networks: map[string]*network.EndpointSettings{"bridge": d.endpoint(n)}},
			Mounts:          []container.MountPoint{{Type: "volume", Name: "data", Source: "/var/lib/docker/volumes/data/_data", Destination: "/data", Driver: "local", Mode: "z", RW: true}},
		}
		c.HostConfig.NetworkMode = "bridge"
		if !at.IsZero() {
			c.State, c.Status = container.StateExited, "Exited (0) 3 seconds ago"
		}
		all = append(all, c)
	}
	answer(w, all)
}

func (d *dockerShaped) endpoint(n int) *network.EndpointSettings {
	return &network.EndpointSettings{
		NetworkID: dockerID(1), EndpointID: dockerID(n), Gateway: "172.17.0.1", IPAddress: "172.17.0.2", IPPrefixLen: 16, MacAddress: "02:42:ac:11:00:02",
	}
}

func (d *dockerShaped) inspect(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.PathValue("id"), 16, 64)
	if err != nil || int(n) >= d.count {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"No such container"}`)
		return
	}
	answer(w, d.describe(int(n)))
}

func (d *dockerShaped) describe(n int) *container.InspectResponse {
	at, _ := d.now()
	id, created := dockerID(n), d.created(n).UTC()
	state := &container.State{Status: container.StateRunning, Running: true, Pid: 1000 + n, StartedAt: created.Add(300 * time.Millisecond).Format(time.RFC3339Nano), FinishedAt: "0001-01-01T00:00:00Z"}
	if !at.IsZero() {
		state.Status, state.Running, state.Pid, state.FinishedAt = container.StateExited, false, 0, at.UTC().Format(time.RFC3339Nano)
	}
	dir := "/var/lib/docker/containers/" + id + "/"
	host := &container.HostConfig{
		NetworkMode: "bridge", IpcMode: "private", CgroupnsMode: "private", Runtime: "runc", ShmSize: 64 << 20, Binds: []string{"data:/data:z"},
		LogConfig:     container.LogConfig{Type: "local", Config: map[string]string{"max-size": "20m", "max-file": "2", "compress": "false"}},
		RestartPolicy: container.RestartPolicy{Name: "no"},
		MaskedPaths:   []string{"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"},
		ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
	}
	layer := "/var/lib/docker/overlay2/" + id
	c := &container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: id, Created: created.Format(time.RFC3339Nano), Path: "/bin/job", Args: []string{"--shard", "12", "--of", "40"}, State: state, Image: "sha256:" + dockerID(7),
			ResolvConfPath: dir + "resolv.conf", HostnamePath: dir + "hostname", HostsPath: dir + "hosts", LogPath: dir + "local-logs/container.log",
			Name: "/atom-" + id[38:], Driver: "overlay2", Platform: "linux", AppArmorProfile: "docker-default", HostConfig: host,
		},
		Mounts: []container.MountPoint{{Type: "volume", Name: "data", Source: "/var/lib/docker/volumes/data/_data", Destination: "/data", Driver: "local", Mode: "z", RW: true}},
		Config: &container.Config{
			Hostname: id[52:], Image: "registry.example/team/job:1.4", Cmd: []string{"--shard", "12", "--of", "40"}, Entrypoint: []string{"/bin/job"}, Labels: d.labels(n),
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TEAM=ml", "BUCKET=s3://example/input/2026/11", "LANG=C.UTF-8"},
		},
		NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{"bridge": d.endpoint(n)}},
	}
	c.GraphDriver.Name = "overlay2"
	c.GraphDriver.Data = map[string]string{
		"ID": id, "LowerDir": layer + "-init/diff:" + strings.Repeat("/var/lib/docker/overlay2/"+dockerID(3)+"/diff:", 4), "MergedDir": layer + "/merged", "UpperDir": layer + "/diff", "WorkDir": layer + "/work",
	}
	return c
}

// wait is ContainerWait: headers at once, and the body at the end.
func (d *dockerShaped) wait(w http.ResponseWriter, r *http.Request) {
	_, ended := d.now()
	d.waits.Add(1)
	defer d.waits.Add(-1)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	select {
	case <-ended:
		fmt.Fprint(w, `{"StatusCode":0}`)
	case <-r.Context().Done():
	}
}

// events tells of the end of each container.
func (d *dockerShaped) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.(http.Flusher).Flush()
	at, ended := d.now()
	if !at.IsZero() {
		<-r.Context().Done()
		return
	}
	select {
	case <-ended:
	case <-r.Context().Done():
		return
	}
	at, _ = d.now()
	out := json.NewEncoder(w)
	for n := range d.count {
		attributes := d.labels(n)
		attributes["exitCode"], attributes["image"], attributes["name"] = "0", "registry.example/team/job:1.4", "atom-"+dockerID(n)[38:]
		if out.Encode(events.Message{Type: "container", Action: "die", Actor: events.Actor{ID: dockerID(n), Attributes: attributes}, Scope: "local", Time: at.Unix(), TimeNano: at.UnixNano()}) != nil {
			return
		}
		w.(http.Flusher).Flush()
	}
	<-r.Context().Done()
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // whoever asked has gone
}
