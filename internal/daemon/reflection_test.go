package daemon

import (
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/atom-router/atom-router/atom"
)

// Tools that know nothing of the protocol find what is served, and whether it
// is well.
func TestReflectionAndHealth(t *testing.T) {
	s := newSite(t)
	s.start(s.config(s.listen()))
	conn, err := grpc.NewClient("unix://"+s.path("s"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range answer.GetListServicesResponse().GetService() {
		names = append(names, one.GetName())
	}
	for _, want := range []string{"atomrouter.engine.v1.Engine", "atomrouter.router.v1.Router", "grpc.health.v1.Health"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among the services %q", want, names)
		}
	}
	health, err := grpc_health_v1.NewHealthClient(conn).Check(within(t), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("its health is %v and %v, want SERVING", health.GetStatus(), err)
	}
}

// IDs nest: each router puts the name of the backend it chose before what the
// next one gave it.
func TestIDsNest(t *testing.T) {
	near, far := newSite(t), newSite(t)
	near.start(near.config(near.listen()))
	far.start(far.config(far.listen(), "backend \"edge\" {\n  address = \""+near.endpoint().Address+"\"\n}\ndefault { backend = \"edge\" }"))
	r := far.dial(far.endpoint())
	a := sh(t, r, "true")
	defer func() {
		if err := r.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true}); err != nil {
			t.Error(err)
		}
	}()
	if got := a.ID(); len(got) < 15 || got[:15] != "edge:host:atom-" {
		t.Errorf("the ID is %q, want edge:host:atom-…", got)
	}
	within := near.dial(near.endpoint())
	if _, err := within.Get(&atom.EngineGetRequest{ID: a.ID()[len("edge:"):]}); err != nil {
		t.Errorf("the router within does not know the rest of the ID: %v", err)
	}
}
