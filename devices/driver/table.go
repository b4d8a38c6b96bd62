package driver

import "slices"

// group is one driver's knowledge of all the devices that it treats alike.
type group struct {
	source     string
	knows      Knowledge // without Compatible and Source
	compatible []string
}

// table is the groups, one entry for each compatible string.
var table = slices.Concat(
	entries(codecs), entries(jpegs), entries(cameras), entries(isps), entries(scalers),
	entries(displays), entries(gpus), entries(npus), entries(dsps),
)

func entries(groups []group) []Knowledge {
	var all []Knowledge
	for _, g := range groups {
		for _, c := range g.compatible {
			k := g.knows
			k.Compatible, k.Source = c, g.source
			all = append(all, k)
		}
	}
	return all
}

var codecs = []group{
	{"drivers/media/platform/verisilicon/hantro_drv.c", Knowledge{Class: Codec, Import: VB2Contig}, []string{
		"allwinner,sun50i-h6-vpu-g2",
		"nxp,imx8mm-vpu-g1", "nxp,imx8mq-vpu-g1", "nxp,imx8mq-vpu-g2",
		"rockchip,px30-vpu", "rockchip,rk3328-vpu", "rockchip,rk3399-vpu", "rockchip,rk3568-vepu", "rockchip,rk3568-vpu",
		"rockchip,rk3588-av1-vpu", "rockchip,rk3588-vepu121",
	}},
	{"drivers/staging/media/rkvdec/rkvdec.c", Knowledge{Class: Codec, Import: VB2Contig}, []string{"rockchip,rk3399-vdec"}},
	// In the kernel from 7.0 on.
	{"drivers/media/platform/rockchip/rkvdec/rkvdec.c", Knowledge{Class: Codec, Import: VB2Contig}, []string{
		"rockchip,rk3576-vdec", "rockchip,rk3588-vdec",
	}},
	{"drivers/media/platform/amphion/vpu_drv.c", Knowledge{Class: Codec, Import: VB2Contig}, []string{"nxp,imx8qm-vpu", "nxp,imx8qxp-vpu"}},
	{"drivers/media/platform/chips-media/wave5/wave5-vpu.c", Knowledge{Class: Codec, Import: VB2Contig}, []string{"ti,j721s2-wave521c"}},
	{"drivers/media/platform/mediatek/vcodec/decoder/mtk_vcodec_dec_drv.c", Knowledge{Class: Codec, Import: VB2Contig}, []string{
		"mediatek,mt8173-vcodec-dec", "mediatek,mt8183-vcodec-dec", "mediatek,mt8186-vcodec-dec", "mediatek,mt8192-vcodec-dec",
		"mediatek,mt8195-vcodec-dec",
	}},
	// The cores of a decoder that the driver above feeds: each masters memory by itself.
	{"drivers/media/platform/mediatek/vcodec/decoder/mtk_vcodec_dec_hw.c", Knowledge{Class: Codec, Import: VB2Contig}, []string{
		"mediatek,mtk-vcodec-core", "mediatek,mtk-vcodec-lat", "mediatek,mtk-vcodec-lat-soc",
	}},
	{"drivers/media/platform/mediatek/vcodec/encoder/mtk_vcodec_enc_drv.c", Knowledge{Class: Codec, Import: VB2Contig}, []string{
		"mediatek,mt8173-vcodec-enc", "mediatek,mt8173-vcodec-enc-vp8", "mediatek,mt8183-vcodec-enc", "mediatek,mt8192-vcodec-enc",
		"mediatek,mt8195-vcodec-enc",
	}},
	// Venus has masks such as 0xe0000000-1, which an IOMMU's addresses keep to.
	{"drivers/media/platform/qcom/venus/core.c", Knowledge{Class: Codec, Import: VB2Contig}, []string{
		"qcom,msm8916-venus", "qcom,msm8996-venus", "qcom,msm8998-venus", "qcom,sc7180-venus", "qcom,sc7280-venus", "qcom,sdm660-venus",
		"qcom,sdm845-venus", "qcom,sdm845-venus-v2", "qcom,sm8250-venus",
	}},
	{"drivers/media/platform/samsung/s5p-mfc/s5p_mfc.c", Knowledge{Class: Codec, Import: VB2Contig}, []string{"samsung,exynos5433-mfc"}},
	{"drivers/staging/media/meson/vdec/vdec.c", Knowledge{Class: Codec, Import: VB2Contig}, []string{
		"amlogic,g12a-vdec", "amlogic,gxbb-vdec", "amlogic,gxl-vdec", "amlogic,gxlx-vdec", "amlogic,gxm-vdec", "amlogic,sm1-vdec",
	}},
	{"drivers/staging/media/sunxi/cedrus/cedrus.c", Knowledge{Class: Codec, Import: VB2Contig}, []string{
		"allwinner,sun50i-a64-video-engine", "allwinner,sun50i-h5-video-engine", "allwinner,sun50i-h6-video-engine",
	}},
	// The mask is host1x's, and with it that of the IOMMU in front.
	{"drivers/gpu/drm/tegra/nvdec.c", Knowledge{Class: Codec, Import: DRMShmem, MaskBits: 34}, []string{"nvidia,tegra210-nvdec"}},
}

var jpegs = []group{
	{"drivers/media/platform/imagination/e5010-jpeg-enc.c", Knowledge{Class: JPEG, Import: VB2Contig}, []string{"img,e5010-jpeg-enc"}},
	{"drivers/media/platform/mediatek/jpeg/mtk_jpeg_core.c", Knowledge{Class: JPEG, Import: VB2Contig}, []string{
		"mediatek,mt8173-jpgdec", "mediatek,mt8195-jpgdec", "mediatek,mt8195-jpgenc", "mediatek,mtk-jpgenc",
	}},
	{"drivers/media/platform/mediatek/jpeg/mtk_jpeg_dec_hw.c", Knowledge{Class: JPEG, Import: VB2Contig}, []string{"mediatek,mt8195-jpgdec-hw"}},
	{"drivers/media/platform/mediatek/jpeg/mtk_jpeg_enc_hw.c", Knowledge{Class: JPEG, Import: VB2Contig}, []string{"mediatek,mt8195-jpgenc-hw"}},
	{"drivers/media/platform/nxp/imx-jpeg/mxc-jpeg.c", Knowledge{Class: JPEG, Import: VB2Contig}, []string{"nxp,imx8qxp-jpgdec", "nxp,imx8qxp-jpgenc"}},
	{"drivers/media/platform/samsung/s5p-jpeg/jpeg-core.c", Knowledge{Class: JPEG, Import: VB2Contig}, []string{"samsung,exynos5433-jpeg"}},
}

var cameras = []group{
	{"drivers/media/platform/broadcom/bcm2835-unicam.c", Knowledge{Class: Camera, Import: VB2Contig}, []string{"brcm,bcm2835-unicam"}},
	{"drivers/media/platform/nxp/imx7-media-csi.c", Knowledge{Class: Camera, Import: VB2Contig}, []string{"fsl,imx7-csi", "fsl,imx8mq-csi"}},
	{"drivers/media/platform/nxp/imx8-isi/imx8-isi-core.c", Knowledge{Class: Camera, Import: VB2Contig}, []string{"fsl,imx8mn-isi", "fsl,imx93-isi"}},
	{"drivers/media/platform/nxp/imx8-isi/imx8-isi-core.c", Knowledge{Class: Camera, Import: VB2Contig, MaskBits: 36}, []string{"fsl,imx8mp-isi"}},
	{"drivers/media/platform/qcom/camss/camss.c", Knowledge{Class: Camera, Import: VB2SG}, []string{
		"qcom,msm8916-camss", "qcom,msm8996-camss", "qcom,sc8280xp-camss", "qcom,sdm660-camss", "qcom,sdm845-camss", "qcom,sm8250-camss",
	}},
	// From 6.13 on.
	{"drivers/media/platform/raspberrypi/rp1-cfe/cfe.c", Knowledge{Class: Camera, Import: VB2Contig, MaskBits: 64}, []string{"raspberrypi,rp1-cfe"}},
	{"drivers/media/platform/renesas/rcar-vin/rcar-core.c", Knowledge{Class: Camera, Import: VB2Contig}, []string{"renesas,vin-r8a774a1"}},
	{"drivers/media/platform/renesas/rzg2l-cru/rzg2l-core.c", Knowledge{Class: Camera, Import: VB2Contig}, []string{"renesas,rzg2l-cru"}},
	{"drivers/media/platform/sunxi/sun6i-csi/sun6i_csi.c", Knowledge{Class: Camera, Import: VB2Contig}, []string{
		"allwinner,sun50i-a64-csi", "allwinner,sun8i-h3-csi",
	}},
	{"drivers/media/platform/ti/cal/cal.c", Knowledge{Class: Camera, Import: VB2Contig}, []string{"ti,am654-cal"}},
	{"drivers/media/platform/ti/j721e-csi2rx/j721e-csi2rx.c", Knowledge{Class: Camera, Import: VB2Contig}, []string{"ti,j721e-csi2rx-shim"}},
	// From 6.15 on.
	{"drivers/media/platform/synopsys/hdmirx/snps_hdmirx.c", Knowledge{Class: Camera, Import: VB2Contig}, []string{"rockchip,rk3588-hdmirx-ctrler"}},
	{"drivers/staging/media/tegra-video/vi.c", Knowledge{Class: Camera, Import: VB2Contig}, []string{"nvidia,tegra210-vi"}},
}

var isps = []group{
	{"drivers/media/platform/raspberrypi/pisp_be/pisp_be.c", Knowledge{Class: ISP, Import: VB2Contig, MaskBits: 36}, []string{"raspberrypi,pispbe"}},
	{"drivers/media/platform/rockchip/rkisp1/rkisp1-dev.c", Knowledge{Class: ISP, Import: VB2Contig}, []string{
		"rockchip,px30-cif-isp", "rockchip,rk3399-cif-isp",
	}},
	{"drivers/media/platform/rockchip/rkisp1/rkisp1-dev.c", Knowledge{Class: ISP, Import: VB2Contig, MaskBits: 34}, []string{"fsl,imx8mp-isp"}},
}

var scalers = []group{
	{"drivers/media/platform/amlogic/meson-ge2d/ge2d.c", Knowledge{Class: Scaler, Import: VB2Contig}, []string{"amlogic,axg-ge2d"}},
	{"drivers/media/platform/mediatek/mdp/mtk_mdp_core.c", Knowledge{Class: Scaler, Import: VB2Contig}, []string{
		"mediatek,mt8173-mdp", "mediatek,mt8173-mdp-rdma", "mediatek,mt8173-mdp-wdma", "mediatek,mt8173-mdp-wrot",
	}},
	{"drivers/media/platform/mediatek/mdp3/mtk-mdp3-comp.c", Knowledge{Class: Scaler, Import: VB2Contig}, []string{
		"mediatek,mt8183-mdp3-rdma", "mediatek,mt8183-mdp3-wdma", "mediatek,mt8183-mdp3-wrot",
		"mediatek,mt8195-mdp3-rdma", "mediatek,mt8195-mdp3-wrot",
	}},
	{"drivers/media/platform/nxp/dw100/dw100.c", Knowledge{Class: Scaler, Import: VB2Contig}, []string{"nxp,imx8mp-dw100"}},
	{"drivers/media/platform/renesas/rcar_fdp1.c", Knowledge{Class: Scaler, Import: VB2Contig, Through: "renesas,fcp"}, []string{"renesas,fdp1"}},
	{"drivers/media/platform/renesas/vsp1/vsp1_drv.c", Knowledge{Class: Scaler, Import: VB2Contig, Through: "renesas,fcp"}, []string{
		"renesas,r9a07g044-vsp2", "renesas,vsp2",
	}},
	// An MMU of its own, which takes 32-bit physical addresses.
	{"drivers/media/platform/rockchip/rga/rga.c", Knowledge{Class: Scaler, Import: VB2SG, OwnMMU: true}, []string{
		"rockchip,rk3288-rga", "rockchip,rk3399-rga",
	}},
	{"drivers/media/platform/sunxi/sun8i-di/sun8i-di.c", Knowledge{Class: Scaler, Import: VB2Contig}, []string{"allwinner,sun8i-h3-deinterlace"}},
	{"drivers/media/platform/sunxi/sun8i-rotate/sun8i_rotate.c", Knowledge{Class: Scaler, Import: VB2Contig}, []string{"allwinner,sun8i-a83t-de2-rotate"}},
	{"drivers/gpu/drm/exynos/exynos_drm_gsc.c", Knowledge{Class: Scaler, Import: DRMDMA}, []string{"samsung,exynos5433-gsc"}},
	{"drivers/gpu/drm/exynos/exynos_drm_scaler.c", Knowledge{Class: Scaler, Import: DRMDMA}, []string{"samsung,exynos5433-scaler"}},
	{"drivers/gpu/drm/tegra/vic.c", Knowledge{Class: Scaler, Import: DRMShmem, MaskBits: 34}, []string{"nvidia,tegra124-vic", "nvidia,tegra210-vic"}},
}

var displays = []group{
	{"drivers/gpu/drm/arm/hdlcd_drv.c", Knowledge{Class: Display, Import: DRMDMA}, []string{"arm,hdlcd"}},
	{"drivers/gpu/drm/arm/malidp_drv.c", Knowledge{Class: Display, Import: DRMDMA}, []string{"arm,mali-dp500"}},
	{"drivers/gpu/drm/exynos/exynos5433_drm_decon.c", Knowledge{Class: Display, Import: DRMDMA}, []string{
		"samsung,exynos5433-decon", "samsung,exynos5433-decon-tv",
	}},
	{"drivers/gpu/drm/hisilicon/kirin/kirin_drm_drv.c", Knowledge{Class: Display, Import: DRMDMA}, []string{"hisilicon,hi6220-ade"}},
	{"drivers/gpu/drm/mediatek/mtk_disp_ovl.c", Knowledge{Class: Display, Import: DRMDMA}, []string{
		"mediatek,mt8173-disp-ovl", "mediatek,mt8183-disp-ovl", "mediatek,mt8183-disp-ovl-2l", "mediatek,mt8192-disp-ovl",
		"mediatek,mt8192-disp-ovl-2l", "mediatek,mt8195-disp-ovl",
	}},
	{"drivers/gpu/drm/mediatek/mtk_disp_rdma.c", Knowledge{Class: Display, Import: DRMDMA}, []string{
		"mediatek,mt8173-disp-rdma", "mediatek,mt8183-disp-rdma", "mediatek,mt8195-disp-rdma",
	}},
	{"drivers/gpu/drm/mediatek/mtk_mdp_rdma.c", Knowledge{Class: Display, Import: DRMDMA}, []string{"mediatek,mt8195-vdo1-rdma"}},
	{"drivers/gpu/drm/meson/meson_drv.c", Knowledge{Class: Display, Import: DRMDMA, PitchAlignment: 64}, []string{
		"amlogic,meson-g12a-vpu", "amlogic,meson-gxbb-vpu", "amlogic,meson-gxl-vpu", "amlogic,meson-gxm-vpu",
	}},
	// The controllers below these map into their parent's IOMMU domain (msm_kms_init_aspace).
	{"drivers/gpu/drm/msm/msm_mdss.c", Knowledge{Class: Display, Import: DRMShmem, MaskBits: 64, PitchAlignment: 128}, []string{
		"qcom,msm8998-mdss", "qcom,qcm2290-mdss", "qcom,sc7180-mdss", "qcom,sc7280-mdss", "qcom,sc8180x-mdss", "qcom,sc8280xp-mdss",
		"qcom,sdm670-mdss", "qcom,sdm845-mdss", "qcom,sm6115-mdss", "qcom,sm6125-mdss", "qcom,sm6350-mdss", "qcom,sm8150-mdss",
		"qcom,sm8250-mdss", "qcom,sm8350-mdss", "qcom,sm8450-mdss", "qcom,sm8550-mdss", "qcom,sm8650-mdss", "qcom,x1e80100-mdss",
	}},
	{"drivers/gpu/drm/msm/disp/mdp5/mdp5_kms.c", Knowledge{Class: Display, Import: DRMShmem, MaskBits: 64, PitchAlignment: 128}, []string{
		"qcom,mdp5", "qcom,sdm630-mdp5", "qcom,sdm660-mdp5",
	}},
	{"drivers/gpu/drm/imx/dcss/dcss-drv.c", Knowledge{Class: Display, Import: DRMDMA}, []string{"nxp,imx8mq-dcss"}},
	{"drivers/gpu/drm/mxsfb/lcdif_drv.c", Knowledge{Class: Display, Import: DRMDMA, MaskBits: 36}, []string{"fsl,imx8mp-lcdif"}},
	{"drivers/gpu/drm/mxsfb/mxsfb_drv.c", Knowledge{Class: Display, Import: DRMDMA}, []string{"fsl,imx6sx-lcdif"}},
	{"drivers/gpu/drm/pl111/pl111_drv.c", Knowledge{Class: Display, Import: DRMDMA}, []string{"arm,pl111"}},
	// The pitch is a multiple of 16 pixels: 64 bytes at 32 bits a pixel.
	{"drivers/gpu/drm/renesas/rcar-du/rcar_du_drv.c", Knowledge{Class: Display, Import: DRMDMA, MaskBits: 40, PitchAlignment: 64}, []string{"renesas,du-r8a774a1"}},
	{"drivers/gpu/drm/renesas/rz-du/rzg2l_du_drv.c", Knowledge{Class: Display, Import: DRMDMA, PitchAlignment: 64}, []string{
		"renesas,r9a07g043u-du", "renesas,r9a07g044-du",
	}},
	{"drivers/gpu/drm/rockchip/rockchip_vop2_reg.c", Knowledge{Class: Display, Import: DRMDMA, PitchAlignment: 64}, []string{
		"rockchip,rk3566-vop", "rockchip,rk3568-vop", "rockchip,rk3576-vop", "rockchip,rk3588-vop",
	}},
	{"drivers/gpu/drm/rockchip/rockchip_vop_reg.c", Knowledge{Class: Display, Import: DRMDMA, PitchAlignment: 64}, []string{
		"rockchip,px30-vop-big", "rockchip,px30-vop-lit", "rockchip,rk3328-vop", "rockchip,rk3399-vop-big", "rockchip,rk3399-vop-lit",
	}},
	{"drivers/gpu/drm/sun4i/sun8i_mixer.c", Knowledge{Class: Display, Import: DRMDMA, PitchAlignment: 2}, []string{
		"allwinner,sun50i-a64-de2-mixer-0", "allwinner,sun50i-a64-de2-mixer-1", "allwinner,sun50i-h6-de3-mixer-0",
		"allwinner,sun8i-h3-de2-mixer-0",
	}},
	{"drivers/gpu/drm/tegra/dc.c", Knowledge{Class: Display, Import: DRMShmem, MaskBits: 34, PitchAlignment: 64}, []string{
		"nvidia,tegra124-dc", "nvidia,tegra210-dc",
	}},
	{"drivers/gpu/drm/tidss/tidss_dispc.c", Knowledge{Class: Display, Import: DRMDMA, MaskBits: 48}, []string{
		"ti,am625-dss", "ti,am62a7-dss", "ti,am65x-dss", "ti,j721e-dss",
	}},
	{"drivers/gpu/drm/vc4/vc4_hvs.c", Knowledge{Class: Display, Import: DRMDMA}, []string{"brcm,bcm2711-hvs", "brcm,bcm2835-hvs"}},
	// From 6.14 on: vc4_drv.c sets the mask, which is 36 bits there.
	{"drivers/gpu/drm/vc4/vc4_hvs.c", Knowledge{Class: Display, Import: DRMDMA, MaskBits: 36}, []string{"brcm,bcm2712-hvs"}},
	{"drivers/gpu/drm/vc4/vc4_txp.c", Knowledge{Class: Display, Import: DRMDMA}, []string{"brcm,bcm2835-txp"}},
	{"drivers/gpu/drm/xlnx/zynqmp_dpsub.c", Knowledge{Class: Display, Import: DRMDMA, MaskBits: 44}, []string{"xlnx,zynqmp-dpsub-1.7"}},
}

// GPUs, each with an MMU of its own unless it says otherwise. For Mali the mask is what the hardware says of itself; 40 bits are those of
// the generations listed. Its pitch of 64 bytes is a rule of the hardware that Mesa keeps (src/panfrost), no kernel API tells it.
var gpus = []group{
	{"drivers/gpu/drm/etnaviv/etnaviv_drv.c", Knowledge{Class: GPU, Import: DRMShmem, OwnMMU: true, MaskBits: 40}, []string{"vivante,gc"}},
	{"drivers/gpu/drm/imagination/pvr_drv.c", Knowledge{Class: GPU, Import: DRMShmem, OwnMMU: true, MaskBits: 36}, []string{"img,img-axe"}},
	{"drivers/gpu/drm/lima/lima_device.c", Knowledge{Class: GPU, Import: DRMShmem, OwnMMU: true, PitchAlignment: 64}, []string{"arm,mali-400", "arm,mali-450"}},
	{"drivers/gpu/drm/panfrost/panfrost_gpu.c", Knowledge{Class: GPU, Import: DRMShmem, OwnMMU: true, MaskBits: 40, PitchAlignment: 64}, []string{
		"amlogic,meson-g12a-mali", "amlogic,meson-gxm-mali", "arm,mali-bifrost", "arm,mali-t624", "arm,mali-t720", "arm,mali-t760",
		"arm,mali-t820", "arm,mali-t860", "arm,mali-valhall-jm", "mediatek,mt8183b-mali", "mediatek,mt8186-mali", "mediatek,mt8188-mali",
		"mediatek,mt8192-mali",
	}},
	{"drivers/gpu/drm/panthor/panthor_gpu.c", Knowledge{Class: GPU, Import: DRMShmem, OwnMMU: true, MaskBits: 40, PitchAlignment: 64}, []string{
		"arm,mali-valhall-csf", "rockchip,rk3588-mali",
	}},
	{"drivers/gpu/drm/nouveau/nouveau_platform.c", Knowledge{Class: GPU, Import: DRMShmem, OwnMMU: true, MaskBits: 34, PitchAlignment: 256}, []string{
		"nvidia,gk20a", "nvidia,gm20b",
	}},
	{"drivers/gpu/drm/msm/msm_drv.c", Knowledge{Class: GPU, Import: DRMShmem, MaskBits: 64, PitchAlignment: 128}, []string{"qcom,adreno"}},
	{"drivers/gpu/drm/v3d/v3d_drv.c", Knowledge{Class: GPU, Import: DRMShmem, OwnMMU: true, MaskBits: 36}, []string{"brcm,2711-v3d", "brcm,2712-v3d"}},
	// The 3D core of the boards before has no MMU.
	{"drivers/gpu/drm/vc4/vc4_v3d.c", Knowledge{Class: GPU, Import: DRMDMA}, []string{"brcm,bcm2835-v3d"}},
}

var npus = []group{
	// From 6.18 on. Its IOMMU is in the tree.
	{"drivers/accel/rocket/rocket_drv.c", Knowledge{Class: NPU, Import: DRMShmem, MaskBits: 40}, []string{"rockchip,rk3588-rknn-core"}},
}

var dsps = []group{
	{"drivers/misc/fastrpc.c", Knowledge{Class: DSP, Import: DMABuf}, []string{"qcom,fastrpc-compute-cb"}},
}
