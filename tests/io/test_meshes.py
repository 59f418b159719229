from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from hilum.core.errors import OutputError, UsageError
from hilum.io.meshes import Surface, write_glb, write_stl

#: A tetrahedron in RAS mm, its triangles facing outward.
CORNERS = np.array([[0, 0, 0], [10, 0, 0], [0, 20, 0], [0, 0, 30]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)


def tetrahedron(name="lumen", **more) -> Surface:
    return Surface(name, CORNERS, FACES, **more)


def read_glb(path):
    data = path.read_bytes()
    magic, version, size = struct.unpack_from("<4sII", data)
    assert (magic, version, size) == (b"glTF", 2, len(data))
    length, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    assert length % 4 == 0
    document = json.loads(data[20 : 20 + length])
    binary, kind = struct.unpack_from("<I4s", data, 20 + length)
    assert kind == b"BIN\0"
    return document, data[28 + length : 28 + length + binary]


def accessor(document, data, index):
    about = document["accessors"][index]
    view = document["bufferViews"][about["bufferView"]]
    kind = {5126: "<f4", 5125: "<u4"}[about["componentType"]]
    width = {"VEC3": 3, "SCALAR": 1}[about["type"]]
    part = data[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    return np.frombuffer(part, kind).reshape(about["count"], width)


def test_glb_holds_surfaces_by_name_with_colour(tmp_path):
    file = tmp_path / "tree.glb"
    write_glb(file, [tetrahedron(), tetrahedron("wall", colour=(1, 0, 0, 0.5))])
    document, data = read_glb(file)
    assert [mesh["name"] for mesh in document["meshes"]] == ["lumen", "wall"]
    assert document["materials"][1]["pbrMetallicRoughness"]["baseColorFactor"] == [1, 0, 0, 0.5]
    assert document["materials"][1]["alphaMode"] == "BLEND"
    assert document["buffers"][0]["byteLength"] == len(data)
    for mesh in document["meshes"]:
        (primitive,) = mesh["primitives"]
        vertices = accessor(document, data, primitive["attributes"]["POSITION"])
        normals = accessor(document, data, primitive["attributes"]["NORMAL"])
        assert (vertices == CORNERS).all()
        assert (accessor(document, data, primitive["indices"]).reshape(-1, 3) == FACES).all()
        assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(4), abs=1e-6)
        assert ((vertices - CORNERS.mean(axis=0)) * normals).sum(axis=1).min() > 0
    about = document["accessors"][0]
    assert (about["min"], about["max"]) == ([0, 0, 0], [10, 20, 30])


def test_glb_stands_upright_in_metres(tmp_path):
    write_glb(tmp_path / "a.glb", [tetrahedron()])
    document, _ = read_glb(tmp_path / "a.glb")
    root = document["nodes"][document["scenes"][0]["nodes"][0]]
    matrix = np.array(root["matrix"]).reshape(4, 4).T  # glTF stores columns
    assert matrix @ [0, 0, 1000, 1] == pytest.approx([0, 1, 0, 1])  # the head is up
    assert matrix @ [0, 1000, 0, 1] == pytest.approx([0, 0, 1, 1])  # the front faces the viewer
    assert np.linalg.det(matrix[:3, :3]) > 0  # no mirror image


def test_stl_has_outward_normals_and_names_its_frame(tmp_path):
    file = tmp_path / "lumen.stl"
    write_stl(file, tetrahedron())
    data = file.read_bytes()
    assert b"SPACE=RAS" in data[:80]
    assert not data.startswith(b"solid")  # that would be the text form
    (count,) = struct.unpack_from("<I", data, 80)
    assert count == 4
    assert len(data) == 84 + 50 * count
    layout = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows = np.frombuffer(data, layout, offset=84)
    assert (rows["corners"] == CORNERS[FACES]).all()
    outward = rows["corners"].mean(axis=1) - CORNERS.mean(axis=0)
    assert (rows["normal"] * outward).sum(axis=1).min() > 0


def test_surfaces_that_cannot_be_drawn_are_refused(tmp_path):
    with pytest.raises(UsageError, match="empty"):
        write_glb(tmp_path / "a.glb", [])
    with pytest.raises(UsageError, match="no triangles"):
        Surface("lumen", CORNERS, FACES[:0])
    with pytest.raises(UsageError, match="corners"):
        Surface("lumen", CORNERS[:3], FACES)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_stl(tmp_path / "file" / "a.stl", tetrahedron())
