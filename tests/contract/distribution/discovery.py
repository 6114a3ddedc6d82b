"""What is asked of content discovery."""

from __future__ import annotations

import json

from tests.contract.distribution.client import IMAGE, INDEX, Registry, requirement

_WORKFLOW = "content discovery"


@requirement(_WORKFLOW, "tags come sorted, in parts that `n`, `last` and Link lead through")
async def _tags(registry: Registry) -> None:
    for tag in ("t3", "T1", "t1", "t2"):
        await registry.push_image(tag)
    async with registry.ask("GET", registry.url("tags/list"), 200) as answer:
        told = await answer.json()
    assert told["name"] == registry.repository
    assert told["tags"] == sorted(told["tags"])
    assert {"T1", "t1", "t2", "t3"} <= set(told["tags"])
    seen: list[str] = []
    url: str | None = registry.url("tags/list?n=2")
    while url is not None:
        async with registry.ask("GET", url, 200) as answer:
            page = (await answer.json())["tags"]
            assert len(page) == 2 or "next" not in answer.links
            seen += page
            url = str(answer.links["next"]["url"]) if "next" in answer.links else None
    assert seen == told["tags"]
    async with registry.ask("GET", registry.url("tags/list?n=0"), 200) as answer:
        assert (await answer.json())["tags"] == []
        assert "Link" not in answer.headers
    async with registry.ask("GET", registry.url("tags/list?last=t1"), 200) as answer:
        assert (await answer.json())["tags"][:2] == ["t2", "t3"]


@requirement(_WORKFLOW, "referrers are an index, with types and annotations, filtered on demand")
async def _referrers(registry: Registry) -> None:
    image = await registry.push_image()
    subject = registry.describe(image, IMAGE)
    config = registry.fresh()
    await registry.push_blob(config)
    signature = registry.make_image(config, subject=subject, artifactType="application/vnd.example.signature")
    report = registry.make_image(config, subject=subject, annotations={"by": "scanner"})
    several = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [],
            "subject": subject,
            "artifactType": "application/vnd.example.signature",
        }
    ).encode()
    await registry.put(registry.digest(signature), signature)
    await registry.put(registry.digest(report), report)
    await registry.put(registry.digest(several), several, media_type=INDEX)
    url = registry.url(f"referrers/{registry.digest(image)}")
    async with registry.ask("GET", url, 200) as answer:
        assert answer.headers["Content-Type"] == INDEX
        told = json.loads(await answer.read())
    assert (told["schemaVersion"], told["mediaType"]) == (2, INDEX)
    listed = {
        each["annotations"]["by"] if "annotations" in each else each["mediaType"]: each for each in told["manifests"]
    }
    assert listed[IMAGE]["artifactType"] == "application/vnd.example.signature"
    assert listed["scanner"]["artifactType"] == "application/vnd.oci.image.config.v1+json"
    assert listed[INDEX]["size"] == len(several)
    async with registry.ask("GET", f"{url}?artifactType=application/vnd.example.signature", 200) as answer:
        assert answer.headers["OCI-Filters-Applied"] == "artifactType"
        assert len(json.loads(await answer.read())["manifests"]) == 2


@requirement(_WORKFLOW, "what nothing refers to has an empty index; a digest that cannot be read is 400")
async def _no_referrers(registry: Registry) -> None:
    async with registry.ask("GET", registry.url(f"referrers/{registry.digest(registry.fresh())}"), 200) as answer:
        assert json.loads(await answer.read())["manifests"] == []
    async with registry.ask("GET", registry.url("referrers/latest"), 400):
        pass


@requirement(_WORKFLOW, "repositories are listed in parts")
async def _catalog(registry: Registry) -> None:
    for repository in (registry.repository, registry.other):
        await registry.push_blob(registry.fresh(), repository=repository)
    async with registry.ask("GET", "/v2/_catalog", 200) as answer:
        names = (await answer.json())["repositories"]
    assert names == sorted({registry.repository, registry.other})
    async with registry.ask("GET", "/v2/_catalog?n=1", 200) as answer:
        assert (await answer.json())["repositories"] == names[:1]
        following = str(answer.links["next"]["url"])
    async with registry.ask("GET", following, 200) as answer:
        assert (await answer.json())["repositories"] == names[1:]
