package testenv

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// serves reports whether a part is ready.
func (c *Cluster) serves(ctx context.Context, name string) error {
	switch name {
	case Etcd:
		return ok(ctx, http.DefaultClient, "http://127.0.0.1:"+strconv.Itoa(c.ports.etcd)+"/health")
	case APIServer:
		_, err := c.get(ctx, "/readyz")
		return err
	case Containerd:
		conn, err := net.Dial("unix", c.socket())
		if err == nil {
			conn.Close()
		}
		return err
	case Kubelet:
		return ok(ctx, http.DefaultClient, "http://127.0.0.1:"+strconv.Itoa(c.ports.kubeletHealth)+"/healthz")
	}
	return nil // of the others nothing is asked but that they work on
}

func ok(ctx context.Context, client *http.Client, url string) error {
	_, err := fetch(ctx, client, url, "")
	return err
}

func fetch(ctx context.Context, client *http.Client, url, token string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(client, req)
}

func do(client *http.Client, req *http.Request) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, tail(body))
	}
	return body, err
}

// get asks the API server as its administrator.
func (c *Cluster) get(ctx context.Context, path string) ([]byte, error) {
	authority, err := os.ReadFile(c.path("pki/apiserver.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("the API server's certificate is none")
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}
	return fetch(ctx, &http.Client{Transport: transport}, "https://127.0.0.1:"+strconv.Itoa(c.ports.apiServer)+path, token)
}

// awaitNode returns when pods can be made, and there is a node to run them.
func (c *Cluster) awaitNode(ctx context.Context) error {
	return c.parts[Kubelet].await(ctx, func(ctx context.Context) error {
		if _, err := c.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default"); err != nil {
			return err
		}
		text, err := c.get(ctx, "/api/v1/nodes/"+nodeName)
		if err != nil {
			return err
		}
		var node struct {
			Status struct {
				Conditions []struct{ Type, Status, Message string }
			}
		}
		if err := json.Unmarshal(text, &node); err != nil {
			return err
		}
		for _, cond := range node.Status.Conditions {
			if cond.Type == "Ready" && cond.Status == "True" {
				return nil
			} else if cond.Type == "Ready" {
				return errors.New(cond.Message)
			}
		}
		return errors.New("the node is not there yet")
	})
}

// answers reports whether a cluster that an earlier program started works.
func (c *Cluster) answers(ctx context.Context) bool {
	text, err := os.ReadFile(c.path("port"))
	if err != nil {
		return false
	}
	if c.ports.apiServer, err = strconv.Atoi(string(text)); err != nil {
		return false
	}
	_, err = c.get(ctx, "/readyz")
	return err == nil
}

// Compact moves etcd on, and has it forget what was before (410 for those who
// watch from there). The API server may be down meanwhile.
func (c *Cluster) Compact(ctx context.Context) error {
	text, err := c.etcd(ctx, "put", map[string]string{"key": "YXRvbS10ZXN0", "value": "eA=="})
	if err != nil {
		return err
	}
	var put struct {
		Header struct{ Revision string }
	}
	if err := json.Unmarshal(text, &put); err != nil {
		return err
	}
	_, err = c.etcd(ctx, "compaction", map[string]string{"revision": put.Header.Revision})
	return err
}

// Forget removes a pod from etcd behind everybody's back.
func (c *Cluster) Forget(ctx context.Context, namespace, pod string) error {
	key := base64.StdEncoding.EncodeToString([]byte("/registry/pods/" + namespace + "/" + pod))
	text, err := c.etcd(ctx, "deleterange", map[string]string{"key": key})
	if err == nil && !strings.Contains(string(text), `"deleted":"1"`) {
		err = fmt.Errorf("etcd has no pod %s/%s: %s", namespace, pod, text)
	}
	return err
}

// etcd asks etcd, through its gateway for JSON
// (https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/).
func (c *Cluster) etcd(ctx context.Context, call string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:"+strconv.Itoa(c.ports.etcd)+"/v3/kv/"+call, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return do(http.DefaultClient, req)
}
