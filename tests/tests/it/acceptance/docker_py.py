# What programs do with docker-py. Argument: the endpoint. Prints "done" at the end; anything unexpected is an exception.

import io
import sys
import tarfile

import docker

client = docker.DockerClient(base_url=sys.argv[1], version="auto")
assert client.ping()
assert client.version()["Version"].startswith("swarm/")
assert client.info()["SystemStatus"][0] == ["Role", "replica"]

web = client.containers.run(
    "busybox",
    ["sh", "-c", "echo out; echo err >&2; sleep 300"],
    name="py",
    detach=True,
    labels={"kind": "py"},
    mem_limit="32m",
)
assert [one.id for one in client.containers.list(filters={"label": "kind=py"})] == [web.id]
web.reload()
assert (web.name, web.status) == ("py", "running")
assert web.attrs["Node"]["Name"].startswith("engine-")
assert web.exec_run(["sh", "-c", "echo in; exit 3"]) == (3, b"in\n")

events = client.events(decode=True, filters={"event": "pause"})
web.pause()
event = next(events)
assert event["Actor"]["ID"] == web.id
assert event["Actor"]["Attributes"]["node.name"] == web.attrs["Node"]["Name"]
events.close()
web.unpause()

archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as tar:
    entry = tarfile.TarInfo("x")
    entry.size = 3
    tar.addfile(entry, io.BytesIO(b"abc"))
assert web.put_archive("/", archive.getvalue())
_, stat = web.get_archive("/x")
assert stat["size"] == 3
assert b"out" in web.logs()
assert web.stats(stream=False)["id"] == web.id
assert web.top()["Processes"]
assert {"Path": "/x", "Kind": 1} in web.diff()

image = web.commit("py-image", "a")
assert image.tags == ["py-image:a"]
built, _ = client.images.build(fileobj=io.BytesIO(b"FROM busybox\nLABEL x=y\n"), tag="py-built:1", rm=True)
assert built.labels["x"] == "y"
assert client.containers.run("py-built:1", "echo built", remove=True) == b"built\n"
assert image.tag("py-image", "b")
client.images.remove("py-image:b")
saved = b"".join(client.images.get("py-image:a").save(named=True))
assert client.images.load(saved)[0].tags == ["py-image:a"]

network = client.networks.create("py-net", driver="bridge")
assert [one.id for one in client.networks.list(names=["py-net"])] == [network.id]
network.remove()
volume = client.volumes.create("py-volume", labels={"a": "b"})
assert volume.attrs["Labels"]["a"] == "b"
volume.remove()

web.rename("py2")
web.update(mem_limit="16m", memswap_limit="32m")
web.stop(timeout=1)
assert web.wait()["StatusCode"] == 137
try:
    client.containers.get("nothing")
    raise AssertionError("a container that is not there was found")
except docker.errors.NotFound as error:
    assert error.explanation == "No such container: nothing", error.explanation
try:
    client.containers.create("busybox", name="py2")
    raise AssertionError("one name for two containers")
except docker.errors.APIError as error:
    assert error.status_code == 409, error
usage = client.df()["Containers"]
assert [one["Names"] for one in usage] == [["/" + web.attrs["Node"]["Name"] + "/py2"]], usage
web.remove()
for name in ["py-image:a", "py-built:1"]:
    client.images.remove(name)
assert client.containers.list(all=True) == []
print("done")
